"""How often pictures are drawn, so that inference never feels it."""

import os

SHARE = 0.006
"""Of the time of all processors that the pictures of all deployments may take."""

SHORTEST_PAUSE = 0.2
"""Seconds between two pictures at least: five a second look alive."""

LONGEST_PAUSE = 10.0

SEND_SECONDS = 0.0003
"""What it takes of a processor to send a picture to one browser, and to hear that it has it."""


def pause_after(seconds: float, browsers: int, processors: int | None = None) -> float:
    """Return the seconds to wait before the next picture.

    Args:
        seconds: of a processor that the last one took.
        browsers: that it was sent to.
        processors: of the machine; by default those that this process may use.
    """
    count = processors or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    spent = seconds + browsers * SEND_SECONDS
    return min(max(SHORTEST_PAUSE, spent / (SHARE * count)), LONGEST_PAUSE)
