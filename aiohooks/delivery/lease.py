"""An item of a spool that was handed out."""

from aiohooks.delivery.entry import Entry
from aiohooks.delivery.item import Item, Lease
from aiohooks.errors import DeliveryError


class SpoolLease:
    """An item that was handed out, until it is settled.

    Attributes:
        item: the item.
        attempt: number of this attempt, 1 for the first. Of those before this process only the ones in which a process died
            are counted, if the spool has `max_attempts`.
        in_order: whether whoever has it waits for its end before the next item of its source.
    """

    __slots__ = ("attempt", "entry", "in_order", "item")

    def __init__(self, item: Item, attempt: int, entry: Entry, *, in_order: bool = False) -> None:
        self.item = item
        self.attempt = attempt
        self.in_order = in_order
        self.entry: Entry | None = entry


def settle(lease: Lease) -> Entry:
    """Return what it is a lease of, once.

    Raises:
        DeliveryError: it was settled before, or another store gave it.
    """
    if not isinstance(lease, SpoolLease):
        raise DeliveryError(f"item {lease.item.key}: it was leased from another store; settle it there")
    if lease.entry is None:
        raise DeliveryError(
            f"item {lease.item.key}: this lease was settled before; an item is leased anew for each attempt"
        )
    entry, lease.entry = lease.entry, None
    return entry
