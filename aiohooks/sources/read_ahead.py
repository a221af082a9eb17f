"""Frames read in worker threads, a bounded number ahead of the one that is asked for."""

import asyncio
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self

import anyio
import anyio.to_thread

from aiohooks.frame import Frame

logger = logging.getLogger("aiohooks.sources")

CLOSE_SECONDS = 5.0
"""How long a read that is under way may hold up closing."""


# An error is raised by taking it out of its list: its traceback refers to the calls that have seen the list, and
# with the error still in it they would keep a dropped iterator, and its threads, alive in a cycle.
_Outcome = Frame | list[Exception] | None


class Reader(Protocol):
    """What is read in worker threads."""

    def read(self, index: int) -> Frame | None:
        """Return the frame at a position, or ``None`` after the last one.

        Positions are asked for in order; with one worker also one at a time.
        """

    def close(self) -> None:
        """Release what it holds once the reads that are running have ended; it may wake them. Called from another thread."""


class ReadAhead:
    """The frames of a reader, in order.

    A reader that is never closed, because a loop was left by ``break``, is released with this object: its threads
    end and its files close as soon as nobody refers to it.

    Args:
        reader: reads the frames, in threads of this object.
        ahead: frames that are read before they are asked for: with the one asked for, ``ahead + 1`` are in memory.
        workers: reads at once.
    """

    def __init__(self, reader: Reader, *, ahead: int, workers: int = 1) -> None:
        if ahead < 0:
            raise ValueError(f"read_ahead must be 0 or more frames, got {ahead}")
        self._reader = reader
        self._limit = ahead + 1
        self._pending: deque[Future[_Outcome]] = deque()
        self._asked = 0
        self._ended = False
        # Its threads end when it is garbage collected, which is what ends them in a loop left by break.
        self._threads = ThreadPoolExecutor(min(workers, self._limit), thread_name_prefix="aiohooks-source")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        if self._ended:
            raise StopAsyncIteration
        while len(self._pending) < self._limit:
            self._pending.append(self._threads.submit(_read, self._reader, self._asked))
            self._asked += 1
        if not self._pending[0].done():
            # Unlike a bare await, this does not cancel the read when it is cancelled itself.
            await asyncio.wait([asyncio.wrap_future(self._pending[0])])
            if self._ended:  # closed by another task
                raise StopAsyncIteration
        outcome = self._pending.popleft().result()
        if isinstance(outcome, list):
            raise outcome.pop()
        if outcome is None:
            await self.aclose()
            raise StopAsyncIteration
        return outcome

    async def aclose(self) -> None:
        """Stop reading, close the reader and end the threads."""
        self._ended = True
        while self._pending:
            self._pending.pop().cancel()
        with anyio.move_on_after(CLOSE_SECONDS, shield=True) as scope:
            await anyio.to_thread.run_sync(self._close, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
        if scope.cancelled_caught:
            logger.warning(
                "a source is still reading %s s after it was closed; its thread is left behind", CLOSE_SECONDS
            )

    def _close(self) -> None:
        try:
            self._reader.close()
        finally:
            self._threads.shutdown(cancel_futures=True)


def _read(reader: Reader, index: int) -> _Outcome:
    try:
        return reader.read(index)
    except Exception as error:
        return [error]
