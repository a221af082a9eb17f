"""Waking one task."""

import asyncio


class Bell:
    """Wakes the task that waits for it; rung while nobody waits, it is forgotten.

    The waiting task first checks whether there is anything to wait for, with no `await` in between. An event does more: it
    keeps its state and a line of waiters, at several times the cost.
    """

    __slots__ = ("_loop", "_waiter")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until it is rung; for one task at a time."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def ring(self) -> None:
        """Wake the task that waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
