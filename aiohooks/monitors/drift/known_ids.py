"""Which events have been there already: the ids of the last ones, as many as the horizon says."""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Sequence

_AT_ONCE = 500


def hash_of(event_id: str) -> int:
    """Return an id as the 64-bit number that is remembered of it.

    Of a million ids, the chance that a new one is taken for another is 1 : 2 × 10¹³.
    """
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little", signed=True)


def known(connection: sqlite3.Connection, hashes: Sequence[int]) -> set[int]:
    """Return those that are remembered."""
    found: set[int] = set()
    for first in range(0, len(hashes), _AT_ONCE):
        some = hashes[first : first + _AT_ONCE]
        marks = ",".join("?" * len(some))
        found.update(each for (each,) in connection.execute(f"SELECT hash FROM ids WHERE hash IN ({marks})", some))
    return found


def remember(connection: sqlite3.Connection, hashes: Iterable[int], horizon: int) -> None:
    """Add ids, and forget the oldest of more than the horizon."""
    ((last,),) = connection.execute("SELECT coalesce(max(number), 0) FROM ids")
    connection.executemany(
        "INSERT OR REPLACE INTO ids(hash, number) VALUES(?, ?)", zip(hashes, itertools.count(last + 1), strict=False)
    )
    ((newest,),) = connection.execute("SELECT coalesce(max(number), 0) FROM ids")
    connection.execute("DELETE FROM ids WHERE number <= ?", (newest - horizon,))
