"""Frames of which the model is unsure."""

from typing import Annotated

from msgspec import Meta

from aiohooks.frame import Frame
from aiohooks.hooks.triggers.label import LabelNames
from aiohooks.hooks.triggers.sync_trigger import SyncTrigger
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction


class ConfidenceTrigger(SyncTrigger, frozen=True, tag=True):
    """Fires if a label was found with a probability below the threshold; the score is the lowest probability.

    Where nothing was found, nothing is unsure: the score is 1 and it does not fire.

    Attributes:
        threshold: probability in 0–1.
        label_names: the labels to look at; None for all.

    Raises:
        SpecError: the threshold is outside 0–1, or there are no names.
    """

    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    label_names: LabelNames | None = None

    def evaluate(self, _frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        scores = [] if prediction.is_empty else prediction.scores.tolist()
        if self.label_names is not None:
            scores = [s for s, name in zip(scores, prediction.label_names, strict=False) if name in self.label_names]
        lowest = min(scores, default=1.0)
        return Verdict(lowest < self.threshold, lowest)
