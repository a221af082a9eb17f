"""Where an axis is marked, and what is written there."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

Tick = tuple[float, str]
"""A place on the axis, in its unit, and its label."""

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

_SECONDS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_DAY = 86_400
_DAYS = (1, 2, 5, 7, 14, 28, 56, 91, 182, 365)


def linear_ticks(low: float, high: float, count: int = 5) -> Sequence[Tick]:
    """Return at most about ``count`` round places from ``low`` to ``high``.

    Args:
        low: end of the axis; finite.
        high: its other end, above ``low``.
        count: how many would be good, at least 1.
    """
    rough = (high - low) / max(1, count)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(step * magnitude for step in _STEPS if step * magnitude >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [(n * step, number(n * step, step)) for n in range(first, last + 1)]


def time_ticks(low: float, high: float, count: int = 5) -> Sequence[Tick]:
    """Return at most about ``count`` round times, in UTC.

    Args:
        low: seconds since the epoch.
        high: the same, above ``low``.
        count: how many would be good, at least 1.
    """
    rough = (high - low) / max(1, count)
    steps = (*_SECONDS, *(days * _DAY for days in _DAYS))
    step = next((step for step in steps if step >= rough), math.ceil(rough / _DAY) * _DAY)
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < _DAY else "%d %b" if high - low < 300 * _DAY else "%b %Y"
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    ticks = [(float(n * step), datetime.fromtimestamp(n * step, UTC).strftime(form)) for n in places if n * step >= low]
    if step < _DAY:  # the day is said where it changes, and at first
        days = [datetime.fromtimestamp(at, UTC).strftime("%d %b") for at, _ in ticks]
        ticks = [
            (at, f"{days[n]} {label}" if n == 0 or days[n] != days[n - 1] else label)
            for n, (at, label) in enumerate(ticks)
        ]
    return ticks


def number(value: float, step: float) -> str:
    """Return a number with as many decimals as tell it from its neighbours at that step."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(step) < 1e-5:
        digits = math.ceil(math.log10(abs(value / step))) + 1
        return f"{value:.{min(max(3, digits), 15)}g}"
    decimals = next((n for n in range(6) if abs(round(step, n) - step) < 1e-6 * step), 6)
    return f"{value:,.{decimals}f}"
