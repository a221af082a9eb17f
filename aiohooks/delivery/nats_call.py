"""A call of nats-py that ends when its caller is cancelled, though nats-py can swallow a cancellation."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from nats.errors import StaleConnectionError

logger = logging.getLogger("aiohooks.delivery")

T = TypeVar("T")

ANSWER = 5.0
"""Seconds in which a server that is there answers, and nats-py ends what was cancelled."""

_AGAIN = 0.05
"""Seconds after which what did not hear of being cancelled is cancelled again."""


async def outcome_of(call: Callable[[], Awaitable[T]], *, finish: bool = False) -> T:
    """Return what the call returns; it runs in a task of its own, which is ended before this raises `CancelledError`.

    nats-py swallows a cancellation while it flushes, and `asyncio.wait_for`, on which it relies, does so before Python 3.12 when the
    answer arrives in the same turn of the loop. Of `asyncio.Task.cancel` there is but one, and who lost it would wait for ever.

    Args:
        call: of nats-py.
        finish: whether, when the caller's task is cancelled, the call is waited for, for at most `ANSWER` seconds: if it ends, its
            outcome is returned, and the caller is cancelled where it waits next.

    Raises:
        StaleConnectionError: nats-py has cancelled it by itself.
    """
    work = asyncio.ensure_future(call())
    try:
        await asyncio.wait((work,))
    except asyncio.CancelledError as cancelled:
        # A scope of anyio that is cancelled says so for as long as we are in it: there is no use in waiting.
        if finish and anyio.current_effective_deadline() > -math.inf:
            with anyio.move_on_after(ANSWER, shield=True):
                await asyncio.wait((work,))
            if work.done() and not work.cancelled():
                _cancel_later(cancelled)
                return work.result()  # noqa: ASYNC104  # raised where the caller waits next
        await _end(work)  # noqa: ASYNC102  # shielded there
        raise
    finally:
        work.cancel()  # whoever is cancelled twice does not wait for its end
    if work.cancelled():
        raise StaleConnectionError
    return work.result()


def _cancel_later(cancelled: asyncio.CancelledError) -> None:
    """Have the current task cancelled where it waits next, by the same request, unless that is taken back by then.

    Who asked can be a time-out of asyncio that the task leaves before it waits: that takes back what it asked for, but before
    Python 3.13 not a cancellation that is on its way.
    """
    task = asyncio.current_task()
    assert task is not None

    def again() -> None:
        if task.cancelling() and not task.done():
            task.uncancel()
            task.cancel(*cancelled.args)

    asyncio.get_running_loop().call_soon(again)


async def _end(work: "asyncio.Future[T]") -> None:
    with anyio.move_on_after(ANSWER, shield=True):
        while not work.done():
            work.cancel()
            await asyncio.wait((work,), timeout=_AGAIN)
    if not work.done():
        logger.error("NATS: nats-py did not end within %g s what was cancelled: %r", ANSWER, work)
    elif not work.cancelled():
        work.exception()  # else asyncio would complain that nobody asked for it
