"""Energy of the logits."""

from dataclasses import dataclass
from typing import ClassVar, Self

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class Energy:
    """W. Liu et al., "Energy-based Out-of-distribution Detection" (arXiv 2010.03759)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"logits"})

    @classmethod
    def fit(cls, training: Training) -> Self:  # noqa: ARG003
        """Need nothing."""
        return cls()

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, −logsumexp of the logits."""
        return batch.energy
