"""Frames that come while the stream drifts."""

from typing import Literal

from aiohooks.errors import TriggerError
from aiohooks.frame import Frame
from aiohooks.hooks.triggers import SyncTrigger
from aiohooks.hooks.verdict import Verdict
from aiohooks.monitors.drift.monitor import open_monitor
from aiohooks.prediction import Prediction


class DriftTrigger(SyncTrigger, frozen=True, tag=True):
    """Fires on every frame while the stream drifts; give its hook a ``rate``, so that it does not collect them all.

    The score is 1 or 0.

    Attributes:
        monitor: name of the `DriftMonitor`, which is to be open in the same process.
        by: what says that the stream drifts: the latest closed ``window`` of a rule is beyond its threshold, the alarm that looks at
            every frame of the ``stream``, or ``either``.

    Raises:
        SpecError: a value is out of its range.
        TriggerError: while it works, if no monitor of that name is open.
    """

    monitor: str = "drift"
    by: Literal["window", "stream", "either"] = "either"

    def evaluate(self, _frame: Frame, _prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        monitor = open_monitor(self.monitor)
        if monitor is None:
            raise TriggerError(f"DriftTrigger: no drift monitor called {self.monitor!r} is open in this process")
        drifts = (self.by != "stream" and bool(monitor.alarmed)) or (self.by != "window" and monitor.alarm_is_on)
        return Verdict(drifts, float(drifts))
