"""Where actions do what blocks: in worker threads, or in one that takes only the processor time that nobody else wants."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

T = TypeVar("T")

expendable: ContextVar[bool] = ContextVar("expendable", default=False)
"""Whether the hook drops what it cannot take in time, so that its action may well be slow."""

_LOWEST_PRIORITY = 19

_cancelled = threading.local()


class Run(Protocol):
    """Runs blocking work in a thread."""

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """Return what the function returns; if the caller is cancelled, `check_cancelled` tells it and it is waited for."""
        ...


@asynccontextmanager
async def threads() -> AsyncIterator[Run]:
    """Give an action's lifespan its threads.

    For a hook that drops what it cannot take, that is one thread of the lowest priority (on Linux; elsewhere of the
    ordinary one): encoding pictures in five ordinary ones leaves a third of the throughput of two busy cores. For a hook
    that blocks inference, such a thread would hold it up whenever the machine is busy, so it has worker threads.
    """
    if not expendable.get():
        yield in_worker_thread
        return
    executor = ThreadPoolExecutor(1, thread_name_prefix="aiohooks expendable", initializer=_lower_priority)
    try:
        yield _InOneThread(executor)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(executor.shutdown, limiter=anyio.CapacityLimiter(1))


async def in_worker_thread(function: Callable[..., T], /, *args: Any) -> T:
    """Run blocking work in one of the worker threads that all share."""
    return await anyio.to_thread.run_sync(function, *args)


def check_cancelled() -> None:
    """Raise, in a thread started from here, if the task that waits for it was cancelled.

    Raises:
        BaseException: what ends the work; let it pass.
    """
    told: threading.Event | None = getattr(_cancelled, "told", None)
    if told is None:
        anyio.from_thread.check_cancelled()
    elif told.is_set():
        raise asyncio.CancelledError("the task that waits for this thread was cancelled")


class _InOneThread:
    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        told = threading.Event()
        running = asyncio.get_running_loop().run_in_executor(self._executor, _told_by, told, function, *args)
        try:
            await asyncio.wait([running])
        finally:
            if not running.done():
                told.set()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([running])
                _ = running.cancelled() or running.exception()  # it was looked at; what counts is the cancellation
        return running.result()


def _told_by(told: threading.Event, function: Callable[..., T], *args: Any) -> T:
    _cancelled.told = told
    check_cancelled()
    return function(*args)


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere this is a matter of processes
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
