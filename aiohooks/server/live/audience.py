"""Who watches."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from aiohooks.server.refusal import Refusal

MOST = 128
"""Streams to browsers at once; a page has two."""


class Audience:
    """Counts those who watch, so that nothing is done while nobody does.

    Attributes:
        count: streams that are open.
        stalled: browsers that took nothing for too long, and were left.
    """

    def __init__(self) -> None:
        self.count = 0
        self.stalled = 0
        self._changed = anyio.Event()

    def check(self) -> None:
        """Raise what `seat` would raise.

        Raises:
            Refusal: 503, there are too many.
        """
        if self.count >= MOST:
            raise Refusal(503, "too many browsers watch; close some", retry_after=10)

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Be one of them in the block.

        Raises:
            Refusal: 503, there are too many.
        """
        self.check()
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    async def there(self) -> None:
        """Wait until somebody watches."""
        while not self.count:
            await self._changed.wait()

    async def gone(self) -> None:
        """Wait until nobody watches."""
        while self.count:
            await self._changed.wait()

    def _change(self, by: int) -> None:
        self.count += by
        self._changed.set()
        self._changed = anyio.Event()
