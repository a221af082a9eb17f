"""Where work of unknown cost runs: on the event loop while it is cheap, else in a worker thread."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_SECONDS = 0.001
"""What may run on the event loop. A hop to a worker thread and back costs 0.1 to 0.3 of it."""

_WEIGHT = 0.2
_BACK_BELOW = 0.6
_SAMPLES_BEFORE_LOOP = 5

# CPU time of this thread: waiting for the interpreter lock is not the work's own cost. Where its clock is coarse
# (15 ms on Windows) elapsed time says more.
_FINE = time.get_clock_info("thread_time").resolution < LIMIT_SECONDS / 10
exact_clock = time.thread_time if _FINE else time.perf_counter

# To ask for CPU time is a system call, which costs as much as a short decoder.
_quick_clock = time.perf_counter


class Placement:
    """Decides where one kind of work runs, from what it cost so far.

    It starts in a worker thread and moves to the event loop once its average cost is well below the limit; above
    the limit it moves back. The gap between the two keeps it from changing place on every sample.

    Attributes:
        on_loop: whether the next piece of work is cheap enough for the event loop.
        cost: exponentially weighted moving average in seconds; None before the first sample.
    """

    def __init__(self, limit: float = LIMIT_SECONDS) -> None:
        self.on_loop = False
        self.cost: float | None = None
        self._limit = limit
        self._samples = 0
        self._clock = exact_clock

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Do a piece of work in this thread, and take in what it cost."""
        clock = self._clock
        start = clock()
        try:
            return function(*args)
        finally:
            self.record(clock() - start, is_exact=clock is exact_clock)

    def record(self, seconds: float, *, is_exact: bool = True) -> None:
        """Take in what one piece of work cost.

        Args:
            seconds: of CPU time if ``is_exact``, else elapsed: then many of them may be time in which the thread waited, so
                they do not count, but the next piece is measured exactly.
            is_exact: which of the two.
        """
        # Worker threads may record at the same time: a lost sample does no harm.
        self._samples += 1
        if self._samples == 1:
            return  # the first one pays for imports and caches
        if seconds > self._limit and not is_exact:
            self._clock = exact_clock
            return
        self.cost = cost = seconds if self.cost is None else self.cost + _WEIGHT * (seconds - self.cost)
        if self.on_loop:
            self.on_loop = cost <= self._limit
        else:
            self.on_loop = self._samples > _SAMPLES_BEFORE_LOOP and cost < self._limit * _BACK_BELOW
        self._clock = _quick_clock if self.on_loop and seconds <= self._limit else exact_clock
