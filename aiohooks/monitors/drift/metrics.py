"""What a drift monitor measures, for Prometheus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohooks.metric_family import Family
from aiohooks.monitors.drift.bin import end_of
from aiohooks.monitors.drift.counts import DriftCounts
from aiohooks.monitors.drift.rule import DriftRule, RuleState
from aiohooks.monitors.drift.stream_watch import RULE

KINDS = ("warning", "critical", "recovered")
"""Of alerts."""

_OUTCOMES = ("accepted", "refused", "duplicates", "dropped", "lost")
_ACTION_OUTCOMES = ("done", "failed", "timed_out", "dropped", "cancelled")


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with a drift monitor.

    Attributes:
        name: of the monitor.
        rules: its rules.
        counts: what became of events, and of alerts.
        latest: what each rule, by its name and a segment, made of its latest closed window.
        alarmed: names of the rules whose latest window is beyond a threshold.
        alarm_is_on: whether the alarm that looks at every inference is; None if there is none.
        alerts: how many there were, by the name of their rule and their kind.
    """

    name: str
    rules: Sequence[DriftRule]
    counts: DriftCounts
    latest: Mapping[tuple[str, str], RuleState]
    alarmed: frozenset[str]
    alarm_is_on: bool | None
    alerts: Mapping[tuple[str, str], int]


def families(standing: Standing) -> list[Family]:
    """Return the metrics."""
    return [*_of_events(standing), *_of_windows(standing), *_of_alerts(standing)]


def _of_events(standing: Standing) -> list[Family]:
    name, counts = standing.name, standing.counts
    events = Family(
        "aiohooks_drift_events_total", "counter", "Events that a drift monitor got, by what became of them."
    )
    for outcome in _OUTCOMES:
        events.add(getattr(counts, outcome), monitor=name, outcome=outcome)
    pending = Family("aiohooks_drift_events_pending", "gauge", "Events that are only in memory.")
    pending.add(counts.waiting, monitor=name, state="waiting")
    pending.add(counts.unwritten, monitor=name, state="unwritten")
    flushes = Family("aiohooks_drift_failed_flushes_total", "counter", "How often events could not be written.")
    flushes.add(counts.failed_flushes, monitor=name)
    return [events, pending, flushes]


def _of_windows(standing: Standing) -> list[Family]:
    p_value = Family(
        "aiohooks_drift_p_value",
        "gauge",
        "Share of windows without drift that look as different as the latest closed one.",
    )
    value = Family("aiohooks_drift_value", "gauge", "What a rule looks at, in the latest closed window.")
    events = Family("aiohooks_drift_window_events", "gauge", "Events in the latest closed window.")
    end = Family("aiohooks_drift_window_end_timestamp_seconds", "gauge", "When the latest closed window ended.")
    rules = {rule.name: rule for rule in standing.rules}
    for (name, segment), state in standing.latest.items():
        if state.newest is None or state.value is None:
            continue
        rule = rules[name]
        labels = {"monitor": standing.name, "rule": name, "metric": rule.metric, "bin": rule.bin, "segment": segment}
        value.add(state.value, **labels)
        if state.p_value is not None:
            p_value.add(state.p_value, **labels)
        events.add(state.events, **labels)
        end.add(end_of(state.newest, rule.bin), **labels)
    return [p_value, value, events, end]


def _of_alerts(standing: Standing) -> list[Family]:
    name = standing.name
    alarmed = Family(
        "aiohooks_drift_alarmed", "gauge", "1 while a rule, or the stream alarm, says that there is drift."
    )
    alerts = Family("aiohooks_drift_alerts_total", "counter", "Alerts, by rule and kind.")
    states = {rule.name: rule.name in standing.alarmed for rule in standing.rules}
    if standing.alarm_is_on is not None:
        states[RULE] = standing.alarm_is_on
    for rule, is_on in states.items():
        alarmed.add(is_on, monitor=name, rule=rule)
        for kind in KINDS:
            alerts.add(standing.alerts.get((rule, kind), 0), monitor=name, rule=rule, kind=kind)
    actions = Family("aiohooks_drift_alert_actions_total", "counter", "Actions on alerts, by how they ended.")
    for outcome in _ACTION_OUTCOMES:
        actions.add(getattr(standing.counts.alerts, outcome), monitor=name, outcome=outcome)
    return [alarmed, alerts, actions]
