"""The values of a window that rules look at."""

from collections.abc import Mapping
from typing import NamedTuple

from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.insights import number_drift
from aiohooks.monitors.drift.window import Window

DRIFT, EVENTS, REFUSED, ACCURACY = "drift", "events", "refused", "accuracy"

_MEAN = "mean of "


def metrics_of(baseline: DriftBaseline) -> list[str]:
    """Return the metrics that a rule may name."""
    measures = [measure.name for measure in (*baseline.measures, *baseline.shown)]
    return [DRIFT, *measures, EVENTS, REFUSED, ACCURACY, *(f"{_MEAN}{name}" for name in baseline.edges)]


def has_p_values(metric: str) -> bool:
    """Say whether the baseline knows what a metric is by chance."""
    return metric not in (EVENTS, REFUSED, ACCURACY) and not metric.startswith(_MEAN)


class Reading(NamedTuple):
    """What a metric says of a window.

    Attributes:
        value: None if there are too few events to say.
        p_value: share of windows of that size without drift whose value is as large; None if that is not known.
        events: in the window.
        details: values of all measures by name.
    """

    value: float | None
    p_value: float | None
    events: int
    details: Mapping[str, float]


def read(metric: str, window: Window | None, baseline: DriftBaseline) -> Reading:
    """Return what a metric says of a window; None stands for one without events."""
    if window is None:
        return Reading(0.0 if metric == EVENTS else None, None, 0, {})
    decision = baseline.decide(window.summary)
    measures = (*decision.measures, *decision.shown)
    details = {one.name: one.value for one in measures if one.value is not None}
    p_value = None
    events = window.events
    value: float | None
    if metric == EVENTS:
        value = float(events)
    elif metric == REFUSED:
        events += window.refused
        value = window.refused / events if events else None
    elif metric == ACCURACY:
        value, events = window.accuracy, window.truth.total()
    elif metric == DRIFT:
        p_value = decision.p_value
        value = None if p_value is None else 1 - p_value
    elif metric.startswith(_MEAN):
        found = [one for one in number_drift(baseline, window.summary) if one.name == metric.removeprefix(_MEAN)]
        events = found[0].count if found else 0
        value = found[0].mean if events else None
    else:
        value, p_value = next(((one.value, one.p_value) for one in measures if one.name == metric), (None, None))
    return Reading(value, p_value, events, details)


def differing(now: Reading, earlier: Reading) -> Reading:
    """Return how much a window differs from an earlier one; no p-value goes with that."""
    if now.value is None or earlier.value is None:
        return Reading(None, None, now.events, now.details)
    return Reading(now.value - earlier.value, None, now.events, now.details)
