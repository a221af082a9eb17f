"""How many inferences a deployment has made, and how long the last ones took."""

from collections import deque

RECENT = 256
"""Inferences whose time is kept."""


class InferenceCounts:
    """What became of inferences so far.

    Attributes:
        under_way: that have begun and not been shown to all hooks.
        done: that gave a prediction.
        failed: that did not, cancelled ones among them.
        recent: seconds that each of the last `RECENT` ones took from its frame to its prediction, without monitors and hooks.
    """

    __slots__ = ("done", "failed", "recent", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.done = 0
        self.failed = 0
        self.recent: deque[float] = deque(maxlen=RECENT)
