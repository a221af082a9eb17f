"""A thread of its own for short pieces of blocking work, at a low price for each."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread

from aiohooks.completions import Completions, listen

T = TypeVar("T")


class OneThread:
    """Does one piece of work after the other in a thread that starts with the first.

    A worker thread of anyio's costs the event loop several times as much for each piece: here it is told of all that have
    ended meanwhile at once, in the cheapest way that there is, and nothing is set up for one.

    Args:
        name: of the thread.
        prepare: called in the thread first.
    """

    def __init__(self, name: str, prepare: Callable[[], None] | None = None) -> None:
        self._name = name
        self._prepare = prepare
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended: deque[_Job] = deque()
        self._woken = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._completions: Completions | None = None

    async def run(self, function: Callable[..., T], /, *args: Any) -> T:
        """Return what the function returns; if the caller is cancelled, `was_cancelled` tells it and it is waited for."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._completions = listen(self._loop, 1, self._settle_ended)
            tell, argument = self._completions.teller(0)
            work = partial(self._work, self._loop, partial(tell, argument))
            self._thread = threading.Thread(target=work, name=self._name, daemon=True)
            self._thread.start()
        job = _Job(function, args, self._loop.create_future())
        self._jobs.put(job)
        try:
            await job.settled
        except asyncio.CancelledError:
            job.is_cancelled = True
            if not job.has_ended:
                job.settled = self._loop.create_future()
                with anyio.CancelScope(shield=True):
                    await job.settled
            raise
        if job.error is not None:
            raise job.error
        return cast("T", job.value)

    async def aclose(self) -> None:
        """Let what was asked for come to its end, then end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join, limiter=anyio.CapacityLimiter(1))
        if self._completions is not None:
            self._completions.close()

    def _work(self, loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
        if self._prepare is not None:
            self._prepare()
        while (job := self._jobs.get()) is not None:
            _current.job = job
            try:
                if not job.is_cancelled:
                    job.value = job.function(*job.args)
            except BaseException as error:  # noqa: ASYNC103  # it is raised again in the task that waits
                job.error = error
            self._ended.append(job)
            del job
            _current.job = None
            if not self._woken:
                self._woken = True
                tell()
            if loop.is_closed():
                return  # nobody waits any more

    def _settle_ended(self, _slot: int) -> None:
        # Cleared before the deque is emptied: what ends after that wakes the loop again.
        self._woken = False
        while self._ended:
            job = self._ended.popleft()
            job.has_ended = True
            if not job.settled.done():
                job.settled.set_result(None)


class _Job:
    __slots__ = ("args", "error", "function", "has_ended", "is_cancelled", "settled", "value")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], settled: asyncio.Future[None]) -> None:
        self.function = function
        self.args = args
        self.settled = settled
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_cancelled = False
        self.has_ended = False


class _Current(threading.local):
    job: _Job | None = None


_current = _Current()


def was_cancelled() -> bool | None:
    """Tell, in such a thread, whether the task that waits for the work was cancelled; None in any other thread."""
    job = _current.job
    return None if job is None else job.is_cancelled
