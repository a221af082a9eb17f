"""Items that are still in memory, so that who leases them soon need not wait for the disk."""

from aiohooks.delivery.entry import Entry
from aiohooks.delivery.item import Item

MOST_BYTES = 16 * 1024 * 1024
"""Of the items in memory."""


class Recent:
    """The items that were accepted last and are not leased yet, as far as they fit. What does not fit is on disk, as all are."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._nbytes = 0

    def keep(self, entry: Entry, item: Item) -> None:
        """Keep an item if there is room."""
        if self._nbytes + entry.nbytes <= MOST_BYTES:
            self._items[entry.number] = item
            self._nbytes += entry.nbytes

    def pop(self, entry: Entry) -> Item | None:
        """Let go of an item, and return it; None if it is not here."""
        item = self._items.pop(entry.number, None)
        if item is not None:
            self._nbytes -= entry.nbytes
        return item
