"""Every frame."""

from aiohooks.frame import Frame
from aiohooks.hooks.triggers.sync_trigger import SyncTrigger
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction


class AlwaysTrigger(SyncTrigger, frozen=True, tag=True):
    """Fires on every frame, with score 1."""

    def evaluate(self, _frame: Frame, _prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        return Verdict(True, 1.0)
