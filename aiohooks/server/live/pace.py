"""How often pictures and charts are drawn, so that inference never feels it."""

import os
from functools import cache
from pathlib import Path

SHARE = 0.004
"""Of the time of all processors that the pictures of all deployments may take."""

SHORTEST_PAUSE = 0.2
"""Seconds between two pictures at least: five a second look alive."""

LONGEST_PAUSE = 90.0
"""Seconds between two pictures at most: one that takes a third of a second of a processor keeps its share even on one."""

SEND_SECONDS = 0.0003
"""What it takes of a processor to send a picture to one browser, and to hear that it has it."""

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def pause_after(seconds: float, browsers: int, processors: float | None = None) -> float:
    """Return the seconds to wait before the next picture.

    Args:
        seconds: of a processor that the last one took.
        browsers: that it was sent to.
        processors: of the machine; by default those that this process may use.
    """
    spent = seconds + browsers * SEND_SECONDS
    return min(max(SHORTEST_PAUSE, spent / (SHARE * (processors or _processors()))), LONGEST_PAUSE)


@cache
def _processors() -> float:
    """Return how many processors this process may use; in a container that may be a part of one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota = processors_of(_QUOTA.read_text())
    except (OSError, ValueError):
        return count
    return min(count, quota)


def processors_of(quota: str) -> float:
    """Return how many processors a file ``cpu.max`` allows (https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files).

    Raises:
        ValueError: it says something else.
    """
    microseconds, of = quota.split()
    return float("inf") if microseconds == "max" else int(microseconds) / int(of)
