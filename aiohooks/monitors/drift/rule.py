"""When windows give an alert: pure decisions, from one window to the next."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.monitors.drift.alert import DriftAlert, Severity
from aiohooks.monitors.drift.bin import Bin, end_of
from aiohooks.monitors.drift.reading import Reading, has_p_values
from aiohooks.monitors.drift.window import WindowKey

HISTORY = 400
"""How many earlier values an automatic threshold looks at, where a measure has no p-value of its own."""

RECENT = 8
"""A model or a segment that had an event in one of so many bins is still there."""

Threshold = float | Literal["auto"] | None
Share = Annotated[float, Meta(gt=0, lt=1)]
_RANK: dict[Severity | None, int] = {None: 0, "warning": 1, "critical": 2}


class DriftRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at as windows close, and from when on it gives an alert.

    An alert comes when a window is beyond a threshold that those before were not, and when that is over. A window that has too
    few events to say anything changes nothing.

    Attributes:
        name: of the rule; no two of a monitor have the same.
        metric: ``drift`` (1 − p of all measures together), a measure of the baseline's decision such as ``labels`` or ``jsd``, ``mean of
            brightness`` and so with every number of the baseline, ``events`` (how many), ``refused`` (share of events whose features or
            time were wrong), or ``accuracy`` (share of events with a known true label that were predicted right).
        bin: length of the windows.
        earlier: so many windows before is the one that the value is compared with: their difference is what counts; None: the value
            itself.
        side: whether values ``above`` or ``below`` the threshold are alarming.
        warning: threshold of a warning: a value, or ``auto``: what only ``warning_rate`` of windows without drift are beyond; None: none.
        critical: threshold of a critical alert, likewise.
        warning_rate: share of false alarms in 0–1. Of numbers that the baseline says nothing of (``events``, ``refused``, ``accuracy``, means,
            and whatever is compared with an ``earlier`` window) the last 400 windows say what is usual, once there are 1 / rate of them.
        critical_rate: likewise.
        min_events: a window with fewer says nothing (but for the metric ``events``).
        version: of the model; None: each by itself.
        segment: only events of this one; None: of all, together.
        each_segment: every segment by itself.
        cooldown: seconds in the time of the events after an alert in which none of the same or a lower severity follows.
        repeat_every: seconds in the time of the events after which an alert that goes on is given again; None: it is not.
        recovery: windows in a row within the thresholds that end an alert.
        quiet: from and to which time of day nothing is sent, such as ``("22:00", "06:00")``. What is still so when they end is sent then;
            alerts of late windows are not.
        time_zone: of the quiet hours, such as ``Europe/Berlin``.

    Raises:
        SpecError: a value is out of its range, or there is no threshold.
    """

    name: str
    metric: str = "drift"
    bin: Bin = "hour"
    earlier: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    side: Literal["above", "below"] = "above"
    warning: Threshold = None
    critical: Threshold = "auto"
    warning_rate: Share = 0.05
    critical_rate: Share = 0.01
    min_events: Annotated[int, Meta(ge=0)] = 1
    version: str | None = None
    segment: str | None = None
    each_segment: bool = False
    cooldown: Annotated[float, Meta(ge=0)] = 0.0
    repeat_every: Annotated[float, Meta(gt=0)] | None = None
    recovery: Annotated[int, Meta(ge=1)] = 1
    quiet: tuple[str, str] | None = None
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        check_fields(self)
        where = f"DriftRule {self.name!r}"
        if self.warning is None and self.critical is None:
            raise SpecError(f"{where}: it has neither a warning nor a critical threshold, so it could say nothing")
        if self.segment is not None and self.each_segment:
            raise SpecError(f"{where}: segment and each_segment exclude each other")
        for name in ("warning", "critical"):
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise SpecError(f"{where}: {name} must be finite")
        if self.earlier is not None or not has_p_values(self.metric):
            for threshold, name in ((self.warning, "warning_rate"), (self.critical, "critical_rate")):
                if threshold == "auto" and getattr(self, name) * (HISTORY + 1) < 1:
                    raise SpecError(
                        f"{where}: {name}={getattr(self, name)} is less than the {HISTORY} earlier windows can tell that an automatic threshold "
                        f"for this looks at; take at least {1 / HISTORY:g}, or a value as threshold"
                    )
        try:
            ZoneInfo(self.time_zone)
            quiet = [time.fromisoformat(each) for each in self.quiet or ()]
        except (ValueError, OSError, KeyError) as error:
            raise SpecError(f"{where}: {error}") from None
        if any(each.tzinfo is not None for each in quiet):
            raise SpecError(
                f"{where}: quiet must be times without a zone, such as '22:00'; time_zone says which zone is meant"
            )

    def is_quiet(self, now: float) -> bool:
        """Say whether it is one of the quiet hours, at a time in seconds since the epoch."""
        if self.quiet is None:
            return False
        start, end = (time.fromisoformat(each) for each in self.quiet)
        local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(self.time_zone)).time()
        return start <= local < end if start <= end else local >= start or local < end


class RuleState(msgspec.Struct, frozen=True):
    """What a rule remembers from one window to the next.

    Attributes:
        severity: of the latest window.
        told: of the alert that goes on.
        newest: start of the latest window that it has seen.
        calm: windows in a row that were within the thresholds.
        sent: end of the window of the last alert of each severity.
        history: values of windows that followed one within the thresholds, the latest last.
        held: an alert that waits for the quiet hours to end.
        value: of the metric in the latest window; None if there was none yet.
        p_value: that went with it, where there was one.
        events: in that window.
    """

    severity: Severity | None = None
    told: Severity | None = None
    newest: int | None = None
    calm: int = 0
    sent: dict[Severity, int] = {}
    history: tuple[float, ...] = ()
    held: DriftAlert | None = None
    value: float | None = None
    p_value: float | None = None
    events: int = 0


class Step(NamedTuple):
    """What a window makes of a rule.

    Attributes:
        state: to be remembered.
        alert: to be sent now, or None.
    """

    state: RuleState
    alert: DriftAlert | None = None


def step(rule: DriftRule, state: RuleState, key: WindowKey, reading: Reading, now: float) -> Step:
    """Look at a window that has closed, or at one that has got late events.

    Windows come in their order. One that lies before the latest one gives an alert that is marked late, and changes nothing else.

    Args:
        rule: what to look for.
        state: as the window before left it.
        key: of the window; its segment is empty where all are taken together.
        reading: of the rule's metric there.
        now: in seconds since the epoch.
    """
    if reading.value is None or (reading.events < rule.min_events and rule.metric != "events"):
        return Step(state)
    severity, threshold, p_value = _judged(rule, state, reading)
    alert = DriftAlert(
        rule=rule.name, kind=severity or "recovered", metric=rule.metric, value=reading.value, threshold=threshold,
        p_value=p_value, bin=key.length, start=key.start, version=key.version, segment=key.segment, events=reading.events,
        at=now, details=dict(reading.details), earlier=rule.earlier,
    )  # fmt: skip
    is_late = state.newest is not None and key.start < state.newest
    is_again = state.newest == key.start
    if is_late:
        is_told = severity is not None and not rule.is_quiet(now) and not _is_cooling(rule, state, severity, key.end)
        return Step(state, msgspec.structs.replace(alert, is_late=True) if is_told else None)

    change = msgspec.structs.replace
    history = state.history
    if state.severity is None and not is_again:
        # Also a value that is beyond the threshold: without those, chance would lower it more and more. What follows while the
        # alert goes on is left out, so that it does not become usual.
        history = (*history, reading.value)[-HISTORY:]
    state = change(
        state, newest=key.start, history=history, calm=0 if severity is not None else state.calm + (not is_again)
    )
    state = change(state, severity=severity, value=reading.value, p_value=p_value, events=reading.events)
    if severity is None:
        if state.calm < rule.recovery:
            return Step(state)
        return Step(change(state, told=None, held=None), None if state.told is None else alert)

    is_news = _RANK[severity] > _RANK[state.told]
    is_cooling = _is_cooling(rule, state, severity, key.end)
    last = state.sent.get(severity)
    is_due = rule.repeat_every is not None and last is not None and key.end - last >= rule.repeat_every
    if not ((is_news and not is_cooling) or is_due):
        return Step(state)
    state = change(state, sent={**state.sent, severity: key.end})
    if rule.is_quiet(now):
        return Step(change(state, held=alert))
    return Step(change(state, held=None, told=severity), alert)


def _is_cooling(rule: DriftRule, state: RuleState, severity: Severity, at: int) -> bool:
    return any(_RANK[sent] >= _RANK[severity] and abs(at - end) < rule.cooldown for sent, end in state.sent.items())


def release(rule: DriftRule, state: RuleState, now: float) -> Step:
    """Send what has waited for the quiet hours to end."""
    if state.held is None or rule.is_quiet(now):
        return Step(state)
    told: Severity = "critical" if state.held.kind == "critical" else "warning"
    return Step(msgspec.structs.replace(state, held=None, told=told), msgspec.structs.replace(state.held, at=now))


def is_alarmed(rule: DriftRule, states: Sequence[RuleState]) -> bool:
    """Say whether one of the latest windows is beyond a threshold, given what the rule remembers of each version and segment.

    A version or segment that has had no window lately does not count.
    """
    latest = max((state.newest for state in states if state.newest is not None), default=0)
    since = latest - RECENT * end_of(0, rule.bin)
    return any(state.severity is not None and (state.newest or 0) >= since for state in states)


def latest(states: Iterable[tuple[str, RuleState]]) -> dict[str, RuleState]:
    """Return, by segment, what a rule remembers after its latest window, given that of each segment in each version."""
    found: dict[str, RuleState] = {}
    for segment, state in states:
        if segment not in found or (state.newest or 0) > (found[segment].newest or 0):
            found[segment] = state
    return found


def _judged(rule: DriftRule, state: RuleState, reading: Reading) -> tuple[Severity | None, float | None, float | None]:
    """Return severity, the threshold that says so, and the p-value."""
    assert reading.value is not None
    value = reading.value if rule.side == "above" else -reading.value
    p_value = reading.p_value
    if p_value is not None and rule.side == "below":
        p_value = 1 - p_value
    if p_value is None and "auto" in (rule.warning, rule.critical):
        earlier = [each if rule.side == "above" else -each for each in state.history]
        p_value = (1 + sum(each >= value for each in earlier)) / (1 + len(earlier))
    for severity, threshold, rate in (
        ("critical", rule.critical, rule.critical_rate),
        ("warning", rule.warning, rule.warning_rate),
    ):
        if threshold == "auto":
            if p_value is not None and p_value <= rate:
                return severity, None, p_value  # type: ignore[return-value]  # it is one of both
        elif threshold is not None and value > (threshold if rule.side == "above" else -threshold):
            return severity, threshold, p_value  # type: ignore[return-value]
    return None, None, p_value


def starts_before(key: WindowKey, earlier: int) -> int:
    """Return where the window begins that lies so many windows before."""
    return key.start - earlier * end_of(0, key.length)
