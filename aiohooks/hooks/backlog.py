"""Work that waits, bounded in items and in bytes: the decisions, without the waiting."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """A first-in first-out queue with two bounds. One item is always let in, however large.

    Args:
        max_items: items that may wait.
        max_bytes: their bytes.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items: deque[tuple[T, int]] = deque()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def fits(self, nbytes: int) -> bool:
        """Say whether an item of that size may come in now."""
        if not self._items:
            return True
        return len(self._items) < self._max_items and self.nbytes + nbytes <= self._max_bytes

    def put(self, item: T, nbytes: int) -> None:
        """Take an item in; the caller has asked `fits` or made room."""
        self._items.append((item, nbytes))
        self.nbytes += nbytes

    def pop(self) -> T:
        """Take the oldest item out.

        Raises:
            IndexError: nothing waits.
        """
        item, nbytes = self._items.popleft()
        self.nbytes -= nbytes
        return item
