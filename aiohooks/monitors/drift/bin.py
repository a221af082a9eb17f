"""Bins of time: minutes in hours in days in weeks, all in UTC; weeks begin on Mondays."""

from typing import Literal, get_args

Bin = Literal["minute", "hour", "day", "week"]

BINS: tuple[Bin, ...] = get_args(Bin)
"""From short to long."""

SECONDS: dict[Bin, int] = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}
"""Lengths of the bins."""

_MONDAY = 4 * 86400  # 1970-01-05


def start_of(time: float, length: Bin) -> int:
    """Return when the bin begins that holds a time, both in seconds since the epoch."""
    seconds = SECONDS[length]
    phase = _MONDAY if length == "week" else 0
    return int((time - phase) // seconds) * seconds + phase


def end_of(start: int, length: Bin) -> int:
    """Return when a bin ends that begins there, in seconds since the epoch."""
    return start + SECONDS[length]
