"""A value of which only the latest counts."""

from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Latest(Generic[T]):
    """A value that is replaced; whoever waits for the next one gets the newest, and never an old one late.

    Attributes:
        version: how often it was set.
    """

    def __init__(self) -> None:
        self.version = 0
        self._value: T | None = None
        self._news = anyio.Event()

    @property
    def value(self) -> T | None:
        """The value; None if it was never set."""
        return self._value

    def set(self, value: T) -> None:
        """Replace it, and wake those that wait."""
        self._value = value
        self.version += 1
        self._news.set()
        self._news = anyio.Event()

    async def after(self, version: int) -> T:
        """Return the value as soon as it is a newer one than that of this version."""
        while self._value is None or self.version <= version:
            await self._news.wait()
        return self._value
