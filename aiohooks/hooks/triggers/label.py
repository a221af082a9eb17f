"""Frames in which certain labels were found."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from aiohooks.frame import Frame
from aiohooks.hooks.triggers.sync_trigger import SyncTrigger
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction

LabelNames = Annotated[Sequence[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]
"""At least one name of a label; none is empty."""


class LabelTrigger(SyncTrigger, frozen=True, tag=True):
    """Fires if any (``OR``) or all (``AND``) of the labels were found; the score is 1, else 0.

    Where nothing was found, the model's ``is_empty`` label counts as found, if it has one.

    Attributes:
        label_names: names of the labels, at least one.
        mode: ``OR`` or ``AND``.

    Raises:
        SpecError: there are no names, or the mode is another one.
    """

    label_names: LabelNames
    mode: Literal["OR", "AND"] = "OR"

    def evaluate(self, _frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        found = set(prediction.label_names)
        if prediction.is_empty:
            found.update(label.name for label in prediction.labels if label.is_empty)
        fired = found.issuperset(self.label_names) if self.mode == "AND" else not found.isdisjoint(self.label_names)
        return Verdict(fired, float(fired))
