"""What a rule has to tell."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from aiohooks.monitors.drift.bin import Bin, end_of
from aiohooks.monitors.drift.shown_p import told_p

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
        earlier: so many windows before is the one that it is compared with; None where the value itself counts.
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
    earlier: int | None = None

    @property
    def message(self) -> str:
        """One line for people."""
        start, end = datetime.fromtimestamp(self.start, UTC), datetime.fromtimestamp(end_of(self.start, self.bin), UTC)
        until = f"{end:%H:%M}" if end - start < timedelta(days=1) else f"{end:%Y-%m-%d %H:%M}"
        segment = f", segment {self.segment}" if self.segment else ""
        return (
            f"{self.rule}: {self.kind}: {self._said}; {self.events:,} {'late ' * self.is_late}events, {self.bin} {start:%Y-%m-%d %H:%M} – {until} UTC, "
            f"model {self.version}{segment}"
        )

    @property
    def _said(self) -> str:
        is_over = self.kind == "recovered"
        if self.metric == "stream":
            return f"the latest inferences are {'as usual again' if is_over else 'unlike the baseline'}"
        chance = "" if self.p_value is None else f", p {told_p(self.p_value)}"
        if self.metric == "drift" and self.earlier is None and self.p_value is not None:
            return f"the window is {'as usual again' if is_over else 'unlike the baseline'}{chance}"
        value = f"{self.metric} {self.value:.4g}"
        if self.earlier is not None:
            before = f"{self.earlier:,} {self.bin}{'s' * (self.earlier > 1)} before"
            value = f"{self.metric} {self.value:+.4g} against the {self.bin} {before}"
        if self.threshold is None:
            return f"{value}{' again' * is_over}{chance}"
        side = "above" if self.value > self.threshold else "below"
        return f"{value}, {side} {self.threshold:.4g}{chance}"
