"""A limit on how many run at once; the others wait in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from aiohooks.errors import InferQueueClosed


class Slots:
    """Slots for inferences that run elsewhere.

    Args:
        count: how many run at once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.running = 0
        self._waiting: dict[asyncio.Future[None], None] = {}  # in order
        self._closed = False
        self._idle = anyio.Event()

    @property
    def waiting(self) -> int:
        """Number of those that wait for a slot."""
        return len(self._waiting)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it in the block.

        Raises:
            InferQueueClosed: they are closed, or were while it waited.
        """
        await self._take()
        try:
            yield
        finally:
            self._give_back()

    def fail_waiting(self) -> None:
        """Fail those that wait."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_exception(InferQueueClosed("the model closed before this inference could run"))

    async def aclose(self) -> None:
        """Let what runs finish, and fail the rest."""
        self._closed = True
        self.fail_waiting()
        while self.running:
            await self._idle.wait()

    async def _take(self) -> None:
        if self._closed:
            raise InferQueueClosed("the model is closed; load the deployment again to go on")
        if self.running < self.count:
            self.running += 1
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[called] = None
        try:
            await called
        except asyncio.CancelledError:
            self._waiting.pop(called, None)
            if called.done() and not called.cancelled() and called.exception() is None:
                self._give_back()  # it was called at the same time
            raise

    def _give_back(self) -> None:
        while self._waiting:
            called = next(iter(self._waiting))
            del self._waiting[called]
            if not called.done():
                called.set_result(None)
                return
        self.running -= 1
        if self._closed and not self.running:
            self._idle.set()
