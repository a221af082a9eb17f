"""Frames with many, few or exactly so many objects."""

from typing import Annotated, Literal

from msgspec import Meta

from aiohooks.frame import Frame
from aiohooks.hooks.triggers.label import LabelNames
from aiohooks.hooks.triggers.sync_trigger import SyncTrigger
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction


class ObjectCountTrigger(SyncTrigger, frozen=True, tag=True):
    """Fires if there are more, fewer or exactly as many objects as the threshold says; the score is their number.

    An object counts once, however many of its labels match.

    Attributes:
        threshold: number of objects, at least 0.
        label_names: only objects with one of these labels count; None for all objects.
        mode: ``greater`` (than the threshold), ``lower`` or ``equal``.

    Raises:
        SpecError: the threshold is negative, there are no names, or the mode is another one.
    """

    threshold: Annotated[int, Meta(ge=0)] = 1
    label_names: LabelNames | None = None
    mode: Literal["greater", "lower", "equal"] = "greater"

    def evaluate(self, _frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        count = self._count(prediction)
        match self.mode:
            case "greater":
                fired = count > self.threshold
            case "lower":
                fired = count < self.threshold
            case _:
                fired = count == self.threshold
        return Verdict(fired, float(count))

    def _count(self, prediction: Prediction) -> int:
        if prediction.is_empty:
            return 0
        if self.label_names is None:
            return len(prediction)
        labelled = zip(prediction.object_indices.tolist(), prediction.label_names, strict=True)
        return len({owner for owner, name in labelled if name in self.label_names})
