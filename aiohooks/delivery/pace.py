"""When delivery, which can wait, leaves the processors to inference, which cannot."""

import os
import time
from collections.abc import Callable

from aiohooks.rate import NANOSECONDS, Rate, RateLimiter, nanoseconds

BUSY_SHARE = 0.6
"""Share of all processors, taken by other threads than the event loop's, from which on none is spare. Inference that is limited by
the processors takes more; delivering as fast as the loop can takes less."""

WINDOW_SECONDS = 0.05
"""Seconds between two looks at the share."""

MOST_FILLED = 0.5
"""Share of its bounds from which on a store is emptied at full speed."""


class Pace:
    """Holds attempts to a rate while the other threads of this process keep the processors busy.

    Args:
        rate: of attempts then.
        cpu_seconds: processor time that the other threads than this one have taken so far.
        processors: that the process may use.
    """

    def __init__(
        self, rate: Rate, *, cpu_seconds: Callable[[], float] | None = None, processors: int | None = None
    ) -> None:
        self._limiter = RateLimiter(rate)
        self._cpu_seconds = cpu_seconds or _seconds_of_other_threads
        self._processors = processors or _processors()
        self._looked: tuple[float, float] | None = None
        self._is_busy = False

    def is_busy(self, now: float) -> bool:
        """Say whether the processors were busy since the last look.

        Args:
            now: monotonic time in seconds, as in `wait`.
        """
        looked = self._looked
        if looked is None or now - looked[0] >= WINDOW_SECONDS:
            spent = self._cpu_seconds()
            self._looked = now, spent
            if looked is not None:
                self._is_busy = spent - looked[1] >= BUSY_SHARE * self._processors * (now - looked[0])
        return self._is_busy

    def wait(self, now: float) -> float:
        """Return the seconds until an attempt may begin while the processors are busy; 0 takes its place."""
        at = nanoseconds(now)
        return 0.0 if self._limiter.allows(at) else self._limiter.wait(at) / NANOSECONDS


def _seconds_of_other_threads() -> float:
    return time.process_time() - time.thread_time()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
