"""What a measure of strangeness is."""

from typing import ClassVar, Literal, Protocol, Self

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.training import Training

Need = Literal["logits", "last layer", "out of distribution"]
"""What a measure cannot do without, beside features."""


class Score(Protocol):
    """A measure of how strange frames are: a frozen dataclass of arrays, numbers and parts shared with other measures.

    Attributes:
        needs: what it cannot do without.
    """

    needs: ClassVar[frozenset[Need]]

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take what it needs from training pictures."""
        ...

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, higher for stranger frames."""
        ...
