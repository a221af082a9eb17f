"""The values of a window that rules look at."""

from collections.abc import Mapping
from typing import NamedTuple

from aiohooks.monitors.drift.decision import WindowDecision
from aiohooks.monitors.drift.window import Window

DRIFT, EVENTS, REFUSED = "drift", "events", "refused"


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


def read(metric: str, window: Window | None, decision: WindowDecision | None) -> Reading:
    """Return what a metric says of a window; None stands for one without events, and for one that nobody judged."""
    events = 0 if window is None else window.events
    measures = () if decision is None else (*decision.measures, *decision.shown)
    details = {one.name: one.value for one in measures if one.value is not None}
    if metric == EVENTS:
        return Reading(float(events), None, events, details)
    if metric == REFUSED:
        refused = 0 if window is None else window.refused
        total = events + refused
        return Reading(refused / total if total else None, None, total, details)
    if decision is None:
        return Reading(None, None, events, details)
    if metric == DRIFT:
        p_value = decision.p_value
        return Reading(None if p_value is None else 1 - p_value, p_value, events, details)
    for one in measures:
        if one.name == metric:
            return Reading(one.value, one.p_value, events, details)
    return Reading(None, None, events, details)


def differing(now: Reading, earlier: Reading) -> Reading:
    """Return how much a window differs from an earlier one; no p-value goes with that."""
    if now.value is None or earlier.value is None:
        return Reading(None, None, now.events, now.details)
    return Reading(now.value - earlier.value, None, now.events, now.details)
