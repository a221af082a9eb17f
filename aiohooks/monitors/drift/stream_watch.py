"""The alarm that looks at every inference, in the order in which they come."""

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import start_of
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.layout import Events

RULE = "stream alarm"
"""What its alerts are called."""

HOLD = 100
"""Events after which it is off again. While a drift lasts it sounds again and again, after some tens of events each."""


class StreamWatch:
    """Tells when the alarm goes on, and when it is off again.

    Args:
        baseline: makes the alarm.
        rate: false alarms per 1,000 events, in 0–10.

    Raises:
        SpecError: the rate is out of its range.

    Attributes:
        is_on: whether it has sounded lately.
        events: how many it has seen.
        sounded: how often it has sounded.
    """

    def __init__(self, baseline: DriftBaseline, rate: float) -> None:
        self.is_on = False
        self.events = 0
        self.sounded = 0
        self._baseline = baseline
        self._alarm = baseline.stream_alarm(rate)
        self._calm = 0

    def see(self, events: Events, time: float, version: str) -> list[DriftAlert]:
        """Look at events in their order, and return an alert if the alarm has gone on, or off.

        Args:
            events: of the stream.
            time: of the last one, in seconds since the epoch.
            version: of the model.
        """
        vectors = self._baseline.alarm_vectors(events)
        alerts = []
        for first in range(0, len(events), HOLD):
            alerts += self._see(vectors[first : first + HOLD], time, version)
        return alerts

    def _see(self, vectors: Floats, time: float, version: str) -> list[DriftAlert]:
        """Look at so few events that the alarm cannot go on and off again among them."""
        sounded = self._alarm.update(vectors)
        self.events += len(vectors)
        self.sounded += len(sounded)
        if len(sounded):
            self._calm = len(vectors) - 1 - int(sounded[-1])
        else:
            self._calm += len(vectors)
        was_on, self.is_on = self.is_on, (self.is_on or len(sounded) > 0) and self._calm < HOLD
        if len(sounded) and not was_on:
            return [self._alert("critical", time, version)]
        if was_on and not self.is_on:
            return [self._alert("recovered", time, version)]
        return []

    def _alert(self, kind: str, time: float, version: str) -> DriftAlert:
        value = self._alarm.sounded if kind == "critical" else self._alarm.value
        return DriftAlert(
            rule=RULE, kind="critical" if kind == "critical" else "recovered", metric="stream", value=value, threshold=1.0,
            p_value=None, bin="minute", start=start_of(time, "minute"), version=version, segment="", events=self.events, at=time,
        )  # fmt: skip
