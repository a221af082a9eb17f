"""Frames in which nothing was found."""

from aiohooks.frame import Frame
from aiohooks.hooks.triggers.sync_trigger import SyncTrigger
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction


class EmptyLabelTrigger(SyncTrigger, frozen=True, tag=True):
    """Fires if nothing was found; the score is 1, else 0."""

    def evaluate(self, _frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        return Verdict(prediction.is_empty, float(prediction.is_empty))
