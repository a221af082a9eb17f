"""Where actions do blocking work: in worker threads, or in one of low priority, which takes only processor time that is left."""

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar

import anyio.from_thread
import anyio.to_thread

from aiohooks.one_thread import OneThread, was_cancelled

T = TypeVar("T")

expendable: ContextVar[bool] = ContextVar("expendable", default=False)
"""Whether the hook drops what it cannot take in time, so that its action may be slow."""

_NICENESS = 15
"""With both processors of a machine busy, such a thread gets a thirtieth of one: enough for some 40 JPEGs of VGA a second."""


class Run(Protocol):
    """Runs blocking work in a thread."""

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """Return what the function returns; if the caller is cancelled, `check_cancelled` tells it and it is waited for."""
        ...


class Threads(NamedTuple):
    """What a running action has its blocking work done in.

    Attributes:
        heavy: for milliseconds of work, such as to encode a picture: several at once where processors are to spare.
        light: for a fraction of a millisecond, such as to write a file: one after the other, at a low price for each.
    """

    heavy: Run
    light: Run


@asynccontextmanager
async def threads() -> AsyncIterator[Threads]:
    """Give an action's lifespan its threads.

    For a hook that drops what it cannot take, that is one thread of low priority (on Linux; elsewhere of the
    ordinary one): encoding pictures in five ordinary ones leaves two thirds of the throughput of two busy processors. A
    hook that blocks inference would be held up by such a thread whenever the machine is busy.
    """
    if expendable.get():
        one = OneThread("aiohooks expendable work", lower_priority)
        given = Threads(one.run, one.run)
    else:
        one = OneThread("aiohooks light work")
        given = Threads(in_worker_thread, one.run)
    try:
        yield given
    finally:
        await one.aclose()


async def in_worker_thread(function: Callable[..., T], /, *args: Any) -> T:
    """Run blocking work in one of the worker threads that all share."""
    return await anyio.to_thread.run_sync(function, *args)


IN_WORKER_THREADS = Threads(in_worker_thread, in_worker_thread)
"""For an action that nobody holds."""


class WorkCancelled(BaseException):
    """Ends work in a thread whose result nobody waits for any more."""


def check_cancelled() -> None:
    """Raise, in a thread started from here, if the task that waits for it was cancelled.

    Raises:
        BaseException: what ends the work; let it pass.
    """
    told = was_cancelled()
    if told is None:
        anyio.from_thread.check_cancelled()
    elif told:
        raise WorkCancelled


def lower_priority() -> None:
    """Give the calling thread a low priority: it takes only processor time that is left (on Linux)."""
    if sys.platform == "linux":  # elsewhere this is a matter of processes
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
