"""What monitors tell each other: changes of their windows, as bytes that any way may carry, in any order, any number of times.

    offset  bytes
    0       8       b"AHDRFX" and the version of the form, 1, as two bytes
    8       4       CRC-32 of the rest
    12      …       a `_Bundle` as MessagePack

Only the database that saw events changes the windows of them, and numbers its changes. Who gets a change keeps it beside his own
windows unless he has a later one, so that it makes no difference what comes when, or twice; windows are added up when they are read.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterator

import msgspec

from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift.bin import BINS, SECONDS, start_of
from aiohooks.monitors.drift.database import Database
from aiohooks.monitors.drift.example import Example
from aiohooks.monitors.drift.summary import WindowSummary

MOST_BYTES = 512 * 1024
"""Of a bundle, about: what a message of NATS holds at most is 1 MiB by default."""

_MAGIC = b"AHDRFX\x01\x00"
_CRC = struct.Struct("<I")
_PREFIX_BYTES = len(_MAGIC) + _CRC.size
_FIELDS = "seconds, start, version, segment, origin, revision, refused, summary, problems, truth, examples, folded"


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A window as its origin has it since a revision: a row of the database. No summary: it is not there any more.

    Of shorter windows inside it, changes up to the revision ``folded`` are in it.
    """

    seconds: int
    start: int
    version: str
    segment: str
    origin: str
    revision: int
    refused: int
    summary: bytes | None
    problems: bytes | None
    truth: bytes | None
    examples: bytes | None
    folded: int = 0


class _Bundle(msgspec.Struct, frozen=True, array_like=True):
    baseline: bytes
    changes: list[Change]


def changes_since(database: Database, baseline: bytes, revision: int, origin: str) -> Iterator[tuple[bytes, int]]:
    """Yield bundles of the changes that a database made itself, each with the highest revision in it.

    Args:
        database: where they are.
        baseline: identity of what the summaries belong to.
        revision: only later changes.
        origin: the database's own name.
    """
    pending: list[Change] = []
    nbytes = 0
    with database.reading() as connection:
        for row in connection.execute(
            f"SELECT {_FIELDS} FROM windows WHERE origin = ? AND revision > ? ORDER BY revision", (origin, revision)
        ):
            size = 128 + sum(len(value) for value in row if isinstance(value, bytes))
            if pending and nbytes + size > MOST_BYTES:
                yield _encoded(baseline, pending), pending[-1].revision
                pending, nbytes = [], 0
            pending.append(Change(*row))
            nbytes += size
    if pending:
        yield _encoded(baseline, pending), pending[-1].revision


def read_changes(data: bytes, baseline: bytes) -> list[Change]:
    """Return what a bundle holds; all of it is checked.

    Raises:
        LoadError: the bytes are of something else, newer, cut off or damaged.
        SpecError: they belong to another baseline.
    """
    if data[:6] != _MAGIC[:6] or len(data) < _PREFIX_BYTES:
        raise LoadError(f"these {len(data):,} bytes are not changes of a drift monitor")
    if data[: len(_MAGIC)] != _MAGIC:
        raise LoadError("a newer aiohooks wrote these changes of a drift monitor; update aiohooks")
    body = data[_PREFIX_BYTES:]
    if _CRC.unpack_from(data, len(_MAGIC)) != (zlib.crc32(body),):
        raise LoadError("these changes of a drift monitor are damaged; have them sent again")
    try:
        bundle = msgspec.msgpack.decode(body, type=_Bundle)
        for change in bundle.changes:
            _check(change, bundle.baseline)
    except (msgspec.DecodeError, ValueError) as error:
        raise LoadError(f"these changes of a drift monitor cannot be read: {error}") from None
    if bundle.baseline != baseline:
        raise SpecError(
            f"these changes belong to the baseline {bundle.baseline.hex()}, not to {baseline.hex()}; have all monitors compare "
            "with the same one"
        )
    return bundle.changes


def take_in(database: Database, changes: list[Change], now: float) -> list[Change]:
    """Keep changes of other databases, and return those that were news. In a transaction.

    Args:
        database: with its transaction open.
        changes: checked.
        now: in seconds since the epoch.
    """
    connection = database.connection
    forgotten = dict(connection.execute("SELECT substr(name, 14), value FROM about WHERE name LIKE 'forgotten of %'"))
    news = []
    for change in changes:
        row = connection.execute(
            "SELECT id, revision FROM windows WHERE start = ? AND seconds = ? AND version = ? AND segment = ? AND origin = ?",
            (change.start, change.seconds, change.version, change.segment, change.origin),
        ).fetchone()
        if change.revision <= (forgotten.get(change.origin, 0) if row is None else row[1]) or _is_folded(
            connection, change
        ):
            continue
        values = (*msgspec.structs.astuple(change), now if change.summary is None else None)
        marks = ", ".join("?" * (len(values) + 1))
        place = None if row is None or change.summary is None else row[0]
        connection.execute(f"INSERT OR REPLACE INTO windows(id, {_FIELDS}, gone) VALUES({marks})", (place, *values))
        if change.folded:
            connection.execute(
                "DELETE FROM windows WHERE start >= ? AND start < ? AND seconds < ? AND version = ? AND segment = ? AND origin = ? "
                "AND revision <= ?",
                (
                    change.start, change.start + change.seconds, change.seconds, change.version, change.segment, change.origin,
                    change.folded,
                ),
            )  # fmt: skip
        news.append(change)
    return news


def _is_folded(connection: sqlite3.Connection, change: Change) -> bool:
    """Tell whether a longer window that is here has a change in it already."""
    longer = [length for length in BINS if SECONDS[length] > change.seconds]
    return any(
        connection.execute(
            "SELECT 1 FROM windows WHERE start = ? AND seconds = ? AND version = ? AND segment = ? AND origin = ? AND folded >= ?",
            (
                start_of(change.start, length), SECONDS[length], change.version, change.segment, change.origin,
                change.revision,
            ),
        ).fetchone()
        for length in longer
    )  # fmt: skip


def _encoded(baseline: bytes, changes: list[Change]) -> bytes:
    body = msgspec.msgpack.encode(_Bundle(baseline, changes))
    return _MAGIC + _CRC.pack(zlib.crc32(body)) + body


def _check(change: Change, baseline: bytes) -> None:
    if change.seconds not in SECONDS.values() or change.refused < 0:
        raise ValueError(f"there are no windows of {change.seconds} seconds")
    if change.summary is not None and WindowSummary.from_bytes(change.summary).baseline != baseline:
        raise ValueError("a summary belongs to another baseline than the rest")
    for data, kind in (
        (change.problems, dict[str, int]),
        (change.truth, list[tuple[str, str, int]]),
        (change.examples, tuple[Example, ...]),
    ):
        if data is not None:
            msgspec.msgpack.decode(data, type=kind)
