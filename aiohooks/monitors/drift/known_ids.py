"""Which events have been there already: the ids of the last ones, as many as the horizon says."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

_AT_ONCE = 500

ID_BYTES = 100
"""What an id takes in the file, about, with its place."""


def hash_of(event_id: str) -> int:
    """Return an id as the 64-bit number that is remembered of it.

    Of a million ids, the chance that a new one is taken for another is 1 : 2 × 10¹³.
    """
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little", signed=True)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where an event was counted whose true label may come later.

    Attributes:
        minute: in which it was, in seconds since the epoch.
        version: of the model.
        segment: of the event.
        predicted: name of the label.
    """

    minute: int
    version: str
    segment: str
    predicted: str


_decode_place = msgspec.msgpack.Decoder(Place)


def known(connection: sqlite3.Connection, hashes: Sequence[int]) -> dict[int, Place | None]:
    """Return those that are remembered, each with its place, or None if its true label is known."""
    found: dict[int, Place | None] = {}
    for first in range(0, len(hashes), _AT_ONCE):
        some = hashes[first : first + _AT_ONCE]
        marks = ",".join("?" * len(some))
        for each, place in connection.execute(f"SELECT hash, place FROM ids WHERE hash IN ({marks})", some):
            found[each] = None if place is None else _decode_place.decode(place)
    return found


def remember(connection: sqlite3.Connection, places: Mapping[int, Place | None], horizon: int) -> None:
    """Add ids, each with its place where its true label may come, and forget the oldest of more than the horizon."""
    ((last,),) = connection.execute("SELECT coalesce(max(number), 0) FROM ids")
    connection.executemany(
        "INSERT OR REPLACE INTO ids(hash, number, place) VALUES(?, ?, ?)",
        (
            (each, number, None if place is None else msgspec.msgpack.encode(place))
            for number, (each, place) in enumerate(places.items(), last + 1)
        ),
    )
    connection.execute("DELETE FROM ids WHERE number <= ?", (last + len(places) - horizon,))


def forget_half(connection: sqlite3.Connection) -> bool:
    """Forget the older half, and say whether there were any."""
    first, last = connection.execute("SELECT min(number), max(number) FROM ids").fetchone()
    if first is None:
        return False
    connection.execute("DELETE FROM ids WHERE number <= ?", ((first + last) // 2,))
    return True


def settle(connection: sqlite3.Connection, hashes: Iterable[int]) -> None:
    """The true labels of these are known."""
    connection.executemany("UPDATE ids SET place = NULL WHERE hash = ?", ((each,) for each in hashes))
