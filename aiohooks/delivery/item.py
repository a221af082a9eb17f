"""What is to be delivered, and what holds it until it is."""

import time
import uuid
from typing import Protocol

import msgspec


class Item(msgspec.Struct, frozen=True):
    """What is to be delivered: bytes in, bytes out.

    Attributes:
        key: stable idempotency key, made once, when the event is accepted: every attempt and every duplicate carries it.
        source: where it comes from, such as a camera; items of one source may be kept in order. May be empty. What cannot be encoded as
            UTF-8, as of the names of some files, is escaped: `encodable`.
        accepted_at: seconds since the epoch, UTC; data, never used for intervals.
        payload: the encoded event.
    """

    key: str
    source: str
    accepted_at: float
    payload: bytes

    def __post_init__(self) -> None:
        if not self.source.isascii():
            msgspec.structs.force_setattr(self, "source", encodable(self.source))

    @classmethod
    def new(cls, payload: bytes, *, source: str = "") -> "Item":
        """Return an item with a key of its own (32 hexadecimal digits), accepted now."""
        return cls(uuid.uuid4().hex, source, time.time(), payload)


def encodable(text: str) -> str:
    r"""Return a text with its lone surrogates, for which UTF-8 has no bytes, written as ``\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Lease(Protocol):
    """An item that was handed out, until it is settled by exactly one of `Store.ack`, `Store.nack` and `Store.bury`."""

    @property
    def item(self) -> Item:
        """The item."""

    @property
    def attempt(self) -> int:
        """Number of this attempt to deliver it, 1 for the first."""


class Status(msgspec.Struct, frozen=True):
    """What a store holds, and what became of the rest.

    Attributes:
        ready: items that can be leased.
        leased: items that were handed out and are not settled.
        delayed: items that come back after a delay.
        dead: items that were given up and can be replayed.
        nbytes: bytes of all of these.
        oldest_seconds: age of the oldest item that is not delivered and not dead; None if there is none.
        accepted: items that were ever accepted.
        delivered: items that were ever acknowledged.
        lost: items that were neither, by reason.
        filled: share, in 0–1, that is used of the room left by dead items; None if that is not known.
    """

    ready: int
    leased: int
    delayed: int
    dead: int
    nbytes: int
    oldest_seconds: float | None
    accepted: int
    delivered: int
    lost: dict[str, int]
    filled: float | None = None


class Store(Protocol):
    """Holds items until they are delivered: each accepted one at least once.

    Opened by the configuration that describes it: ``async with Spool("folder").open() as store``.
    """

    async def put(self, item: Item) -> bool:
        """Accept an item; return False if it was dropped, and counted, because the store is full and drops then.

        While a store that blocks is full, this waits. Where it raises `CancelledError` the item was not accepted.

        Raises:
            DeliveryError: the store is full and raises then, cannot keep the item, or is closed.
        """

    async def lease(self, *, in_order: bool = False) -> Lease:
        """Wait for an item that is ready, the oldest first, and take it out on lease.

        Args:
            in_order: pass over the sources of which an item is leased, until that is settled. A store that cannot do so hands out
                the oldest.

        Raises:
            DeliveryError: the store is closed.
        """

    async def ack(self, lease: Lease) -> None:
        """Report that it was delivered: it is forgotten."""

    async def nack(self, lease: Lease, *, delay: float, reason: str) -> None:
        """Report that it was not delivered: it comes back after ``delay`` seconds, with one more attempt; without a delay, in its old place."""

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Give it up: it becomes a dead letter with this reason."""

    async def status(self) -> Status:
        """Say what the store holds, and what became of the rest."""
