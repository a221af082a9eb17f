"""What a rule has to tell."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

from aiohooks.monitors.drift.bin import Bin, end_of

Severity = Literal["warning", "critical"]
Kind = Literal["warning", "critical", "recovered"]


class DriftAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule found a window beyond its threshold, or the first ones within it again.

    Attributes:
        rule: name of the rule.
        kind: ``warning``, ``critical`` or ``recovered``.
        metric: what the rule looks at.
        value: of the window; where the rule compares with an earlier one, the difference.
        threshold: that it is beyond; None where p-values decide.
        p_value: share of windows without drift that have such a value, where that is known.
        bin: length of the window.
        start: of the window, in seconds since the epoch.
        version: of the model.
        segment: whose events; empty for all.
        events: how many.
        at: when it was found, in seconds since the epoch.
        is_late: the window closed before others that the rule has seen: its events came late.
        details: what else is known of the window: values of all measures by name.
        monitor: name of the monitor.
    """

    rule: str
    kind: Kind
    metric: str
    value: float
    threshold: float | None
    p_value: float | None
    bin: Bin
    start: int
    version: str
    segment: str
    events: int
    at: float
    is_late: bool = False
    details: dict[str, float] = {}
    monitor: str = ""

    @property
    def message(self) -> str:
        """One line for people."""
        start, end = datetime.fromtimestamp(self.start, UTC), datetime.fromtimestamp(end_of(self.start, self.bin), UTC)
        where = f"{self.bin} {start:%Y-%m-%d %H:%M} – {end:%Y-%m-%d %H:%M} UTC, model {self.version}"
        if self.segment:
            where += f", segment {self.segment}"
        beyond = "" if self.threshold is None else f", threshold {self.threshold:.4g}"
        chance = "" if self.p_value is None else f", p = {self.p_value:.2g}"
        late = ", late" if self.is_late else ""
        return f"{self.rule}: {self.kind}: {self.metric} {self.value:.4g}{beyond}{chance}, {self.events} events ({where}{late})"
