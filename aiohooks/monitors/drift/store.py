"""The windows of a drift monitor in its database: added to, read, made longer, forgotten."""

import logging
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import msgspec
import numpy as np

from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift import known_ids
from aiohooks.monitors.drift.bin import SECONDS, Bin, start_of
from aiohooks.monitors.drift.database import Database
from aiohooks.monitors.drift.example import Example
from aiohooks.monitors.drift.exchange import Change, take_in
from aiohooks.monitors.drift.kept_events import KeptEvents
from aiohooks.monitors.drift.known_ids import Place
from aiohooks.monitors.drift.retention import DriftRetention, Step, due_steps, step_to_shrink
from aiohooks.monitors.drift.summary import WindowSummary
from aiohooks.monitors.drift.window import Window, WindowKey

logger = logging.getLogger("aiohooks.monitors")

TOMBSTONE_SECONDS = 35 * 86400
"""How long it is remembered that a window is gone; changes of another database are to be merged within that time."""

MOST_ALERTS = 10_000
"""That are kept; of more, the oldest are forgotten."""

_LENGTHS: dict[int, Bin] = {seconds: length for length, seconds in SECONDS.items()}
_COLUMNS = "seconds, start, version, segment, refused, summary, problems, truth"
_decode_problems = msgspec.msgpack.Decoder(dict[str, int])
_decode_truth = msgspec.msgpack.Decoder(list[tuple[str, str, int]])
_decode_examples = msgspec.msgpack.Decoder(tuple[Example, ...])


class DriftStore:
    """What a drift monitor keeps, in one SQLite file. Every method blocks; the thread that opened it calls them all.

    One process writes to it at a time; others may read meanwhile.

    Args:
        database: the file.
        baseline: identity of the baseline whose summaries it holds, 16 bytes; None to read whatever is there.

    Raises:
        SpecError: the database holds summaries of another baseline.
    """

    def __init__(self, database: Database, baseline: bytes | None = None) -> None:
        self.database = database
        self._connection = database.connection
        about = dict(self._connection.execute("SELECT name, value FROM about WHERE name IN ('baseline', 'origin')"))
        if baseline is None:
            baseline, self.origin = about.get("baseline", b""), about.get("origin", "")
        elif not about:
            about = {"baseline": baseline, "origin": secrets.token_hex(8)}
            with database.transaction() as connection:
                connection.executemany("INSERT INTO about VALUES(?, ?)", about.items())
        if about.get("baseline", baseline) != baseline:
            raise SpecError(
                f"{database.path}: this database holds events that were compared with another baseline "
                f"({about['baseline'].hex()}, not {baseline.hex()}); load that baseline, or begin another database"
            )
        self.baseline = baseline
        self.origin = about.get("origin", "")
        self._revision = 0
        self._damaged: set[tuple[Any, ...]] = set()

    @classmethod
    def open(cls, path: Path, baseline: bytes) -> Self:
        """Open a database to write to it; it is made if it is not there."""
        database = Database(path)
        try:
            return cls(database, baseline)
        except BaseException:
            database.close()
            raise

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a database to read from it."""
        return cls(Database(path, read_only=True))

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    # events in -------------------------------------------------------------------------------------------------

    def known(self, hashes: Sequence[int]) -> dict[int, Place | None]:
        """Return the hashes of ids that were there before, each with its place, or None if its true label is known."""
        with self.database.reading() as connection:
            return known_ids.known(connection, hashes)

    def add(
        self,
        windows: Iterable[Window],
        *,
        places: Mapping[int, Place | None] = MappingProxyType({}),
        settled: Iterable[int] = (),
        horizon: int = 0,
        kept: Iterable[KeptEvents] = (),
        due: Iterable[Bin] = (),
        now: float = 0.0,
    ) -> None:
        """Add windows to those that are there, all or none.

        Args:
            windows: what is to be added.
            places: hashes of the ids of the events in them, each with its place where its true label may come.
            settled: hashes of ids whose true label is in them.
            horizon: how many ids are remembered.
            kept: some of the events themselves.
            due: lengths of windows that rules look at; those that hold one of the windows are looked at again.
            now: when that is, in seconds since the epoch.

        Raises:
            DeliveryError: the disk is full, or they cannot be written; nothing is added.
        """
        lengths = list(due)
        with self._changing() as connection:
            for window in windows:
                self._merge_in(window)
                self._note_due(window.key, lengths, now)
            if places:
                known_ids.remember(connection, places, horizon)
            known_ids.settle(connection, settled)
            connection.executemany(
                "INSERT INTO raw(start, version, segment, events) VALUES(?, ?, ?, ?)",
                ((one.key.start, one.key.version, one.key.segment, one.encode()) for one in kept),
            )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Do all that is done within, or nothing; no revision is given twice, also not when what had it is forgotten."""
        with self.database.transaction() as connection:
            ((self._revision,),) = connection.execute(
                "SELECT coalesce(max(value), 0) FROM about WHERE name = 'revision'"
            )
            yield connection
            connection.execute("INSERT OR REPLACE INTO about VALUES('revision', ?)", (self._revision,))

    def _merge_in(self, window: Window, folded: int = 0) -> None:
        """Add to a window of this database's own; changes of shorter ones inside it up to a revision are in it then."""
        key = window.key
        place = (SECONDS[key.length], key.start, key.version, key.segment, self.origin)
        row = self._connection.execute(
            f"SELECT id, {_COLUMNS}, examples FROM windows "
            "WHERE seconds = ? AND start = ? AND version = ? AND segment = ? AND origin = ?",
            place,
        ).fetchone()
        if row is not None and row[6] is not None and (there := self._readable(row[1:])) is not None:
            window = there.merge(window)
        self._revision += 1
        values = (self._revision, *_content(window), folded)
        if row is not None:
            self._connection.execute(
                "UPDATE windows SET revision = ?, refused = ?, summary = ?, problems = ?, truth = ?, examples = ?, "
                "folded = max(folded, ?), gone = NULL WHERE id = ?",
                (*values, row[0]),
            )
        else:
            self._connection.execute(
                "INSERT INTO windows(seconds, start, version, segment, origin, revision, refused, summary, problems, truth, examples, folded) "
                "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*place, *values),
            )

    def _note_due(self, key: WindowKey, lengths: Iterable[Bin], now: float) -> None:
        for length in lengths:
            longer = key.within(length)
            self._connection.execute(
                "INSERT OR REPLACE INTO due VALUES(?, ?, ?, ?)",
                (SECONDS[longer.length], longer.start, longer.version, now),
            )

    def take_in(self, changes: list[Change], *, due: Iterable[Bin] = (), now: float = 0.0) -> int:
        """Keep windows of other databases, and return how many are new or have changed.

        Args:
            changes: what `aiohooks.monitors.drift.exchange.read_changes` has checked.
            due: lengths of windows that rules look at.
            now: in seconds since the epoch.

        Raises:
            DeliveryError: they cannot be written; none is kept.
        """
        lengths = list(due)
        with self.database.transaction():
            news = take_in(self.database, [change for change in changes if change.origin != self.origin], now)
            for change in news:
                key = WindowKey(_LENGTHS[change.seconds], change.start, change.version, change.segment)
                self._note_due(key, lengths, now)
        return len(news)

    @property
    def sent(self) -> int:
        """Up to which revision changes were sent to others; setting it is remembered in the database."""
        return self.database.value("SELECT coalesce(max(value), 0) FROM about WHERE name = 'sent'")

    @sent.setter
    def sent(self, revision: int) -> None:
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO about VALUES('sent', ?)", (revision,))

    @property
    def has_baseline_file(self) -> bool:
        """Whether the file of the baseline is in the database."""
        return bool(self.database.value("SELECT count(*) FROM about WHERE name = 'baseline file'"))

    def keep_baseline_file(self, data: bytes) -> None:
        """Put the file of the baseline into the database, so that it tells all by itself."""
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO about VALUES('baseline file', ?)", (data,))

    def baseline_file(self) -> bytes | None:
        """Return the file of the baseline, if it is there."""
        row = self._connection.execute("SELECT value FROM about WHERE name = 'baseline file'").fetchone()
        return None if row is None else bytes(row[0])

    @property
    def labels(self) -> list[str]:
        """Names of the classes, in their order; setting them is remembered in the database."""
        row = self._connection.execute("SELECT value FROM about WHERE name = 'labels'").fetchone()
        return [] if row is None else msgspec.msgpack.decode(row[0], type=list[str])

    @labels.setter
    def labels(self, labels: Sequence[str]) -> None:
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO about VALUES('labels', ?)", (msgspec.msgpack.encode(list(labels)),)
            )

    # windows out -----------------------------------------------------------------------------------------------

    def windows(
        self,
        length: Bin,
        since: float = -np.inf,
        until: float = np.inf,
        *,
        version: str | None = None,
        segment: str | None = None,
        together: bool = False,
        examples: bool = False,
    ) -> Iterator[Window]:
        """Yield the windows of a length, in the order of their start; longer ones where nothing shorter is kept.

        Args:
            length: of the windows.
            since: those that begin at this time or later, in seconds since the epoch.
            until: those that begin before this.
            version: of one model; by default of all, one after the other.
            segment: one segment; by default all, one after the other.
            together: all segments as one, called "".
            examples: with their pictures.
        """
        bounds = (max(since, -(2**62)), min(until, 2**62))
        sql = f"SELECT {_COLUMNS}{', examples' if examples else ''} FROM windows WHERE summary IS NOT NULL AND start >= ? AND start < ?"
        values: list[Any] = [int(np.ceil(bounds[0])), int(np.ceil(bounds[1]))]
        for name, value in (("version", version), ("segment", segment)):
            if value is not None:
                sql += f" AND {name} = ?"
                values.append(value)
        found: dict[WindowKey, Window] = {}
        with self.database.reading() as connection:
            # In this order, windows that come later cannot be part of an earlier one that has been passed by.
            for row in connection.execute(f"{sql} ORDER BY start", values):
                window = self._readable(row)
                if window is None:
                    continue
                key = window.key.within(length)
                if together:
                    key = key._replace(segment="")
                for done in sorted(each for each in found if each.end <= window.key.start):
                    yield found.pop(done)
                found[key] = found[key].merge(window) if key in found else _renamed(window, key)
            yield from sorted(found.values(), key=lambda window: window.key)

    def window(self, key: WindowKey, *, together: bool = False) -> Window | None:
        """Return a window with its pictures, or None if there was no event in it.

        Args:
            key: which.
            together: the events of all segments.
        """
        segment = None if together else key.segment
        windows = self.windows(
            key.length, key.start, key.end, version=key.version, segment=segment, together=together, examples=True
        )
        return next((window for window in windows if window.key.length == key.length), None)

    def keys(self) -> tuple[list[str], list[str]]:
        """Return the versions and the segments that there are."""
        versions = [each for (each,) in self._connection.execute("SELECT DISTINCT version FROM windows ORDER BY 1")]
        segments = [each for (each,) in self._connection.execute("SELECT DISTINCT segment FROM windows ORDER BY 1")]
        return versions, segments

    def origins(self) -> list[str]:
        """Return the databases whose monitors saw the events that are here."""
        return [each for (each,) in self._connection.execute("SELECT DISTINCT origin FROM windows ORDER BY 1")]

    def versions(self, since: float, until: float) -> list[str]:
        """Return the models that had events in windows that begin between these times, in seconds since the epoch."""
        rows = self._connection.execute(
            "SELECT DISTINCT version FROM windows WHERE start >= ? AND start < ? AND summary IS NOT NULL ORDER BY 1",
            (since, until),
        )
        return [version for (version,) in rows]

    def kept(self, since: float, until: float) -> Iterator[KeptEvents]:
        """Yield the events themselves, where they are kept, of windows that begin between these times, in seconds since the epoch."""
        with self.database.reading() as connection:
            for start, version, segment, events in connection.execute(
                "SELECT start, version, segment, events FROM raw WHERE start >= ? AND start < ? ORDER BY start, id",
                (since, until),
            ):
                yield KeptEvents.decode(WindowKey("minute", start, version, segment), events)

    def kept_parts(self, since: float, until: float, version: str) -> list[tuple[int, int, int]]:
        """Return parts of the events that are kept of a model, in their order: number, start of the window, bytes."""
        return self._connection.execute(
            "SELECT id, start, length(events) FROM raw WHERE start >= ? AND start < ? AND version = ? ORDER BY start, id",
            (since, until, version),
        ).fetchall()

    def kept_part(self, number: int) -> KeptEvents | None:
        """Return such a part, or None if it was forgotten meanwhile."""
        row = self._connection.execute(
            "SELECT start, version, segment, events FROM raw WHERE id = ?", (number,)
        ).fetchone()
        return None if row is None else KeptEvents.decode(WindowKey("minute", *row[:3]), row[3])

    # age and size ----------------------------------------------------------------------------------------------

    def tidy(self, now: float, retention: DriftRetention) -> bool:
        """Do the next thing that age or size asks for, and say whether there may be more to do.

        Args:
            now: in seconds since the epoch.
            retention: what is asked for.

        Raises:
            DeliveryError: it cannot be written.
        """
        with self._changing() as connection:
            connection.execute("DELETE FROM raw WHERE start < ?", (now - retention.events,))
            connection.execute(
                "DELETE FROM alerts WHERE NOT is_new AND (start < ? OR id <= (SELECT max(id) FROM alerts) - ?)",
                (-(2**62) if retention.weeks is None else now - retention.weeks, MOST_ALERTS),
            )
            self._forget_tombstones(now - TOMBSTONE_SECONDS)
            for step in due_steps(self._oldest(), now, retention):
                self._take(step, now)
        excess = self.database.nbytes - retention.max_bytes
        if excess <= 0:
            self.database.shrink()
            return False
        with self._changing() as connection:
            ((kept,),) = connection.execute("SELECT count(*) FROM raw")
            if kept:
                connection.execute(
                    "DELETE FROM raw WHERE id IN (SELECT id FROM raw ORDER BY start LIMIT ?)", (kept // 2 + 1,)
                )
                return True
            more = step_to_shrink(self._oldest(), now)
            if (more is None or more.into is None) and known_ids.forget_half(connection):
                return True
            if more is not None:
                self._take(more, now)
        self.database.shrink()
        return more is not None

    def _oldest(self) -> dict[Bin, int]:
        rows = self._connection.execute(
            "SELECT seconds, min(start) FROM windows WHERE summary IS NOT NULL AND origin = ? GROUP BY seconds",
            (self.origin,),
        )
        oldest = {_LENGTHS[seconds]: start for seconds, start in rows}
        ((others,),) = self._connection.execute(
            "SELECT min(start) FROM windows WHERE summary IS NOT NULL AND origin != ?", (self.origin,)
        )
        if others is not None:
            # Only their origin makes them longer; here they may only be forgotten, week by week.
            oldest["week"] = min(start_of(others, "week"), oldest.get("week", others))
        return oldest

    def _take(self, step: Step, now: float) -> None:
        """Fold windows of this database's own into longer ones, or forget windows, also shorter and other databases' ones."""
        which = "start < ? AND summary IS NOT NULL" + ("" if step.into is None else " AND seconds = ?")
        values = (step.before,) if step.into is None else (step.before, SECONDS[step.length])
        if step.into is not None:
            found: dict[WindowKey, Window] = {}
            rows = self._connection.execute(
                f"SELECT {_COLUMNS}, examples FROM windows WHERE {which} AND origin = ?", (*values, self.origin)
            ).fetchall()
            for row in rows:
                window = self._readable(row)
                if window is None:
                    continue
                key = window.key.within(step.into)
                found[key] = found[key].merge(window) if key in found else _renamed(window, key)
            folded = self._revision
            for window in found.values():
                self._merge_in(window, folded)
        else:
            # They are not marked as gone: only their origin numbers what becomes of them.
            self._connection.execute(f"DELETE FROM windows WHERE {which} AND origin != ?", (*values, self.origin))
        places = self._connection.execute(
            f"SELECT seconds, start, version, segment, folded FROM windows WHERE {which} AND origin = ?",
            (*values, self.origin),
        ).fetchall()
        for *place, folded in places:
            self._revision += 1
            # A new row: the page of the old one, which it nearly fills, would not become free.
            self._connection.execute(
                "INSERT OR REPLACE INTO windows(seconds, start, version, segment, origin, revision, refused, folded, gone) "
                "VALUES(?, ?, ?, ?, ?, ?, 0, ?, ?)",
                (*place, self.origin, self._revision, folded, now),
            )

    def _readable(self, row: Sequence[Any]) -> Window | None:
        """Return the window of a row; None if it is damaged, which stops nothing else."""
        try:
            return _window(row)
        except (LoadError, msgspec.DecodeError, ValueError, TypeError) as error:
            place = tuple(row[:4])
            if place not in self._damaged:
                self._damaged.add(place)
                logger.error(  # noqa: TRY400  # it says all
                    "%s: the window of %d seconds at %d is damaged, and left out: %s",
                    self.database.path,
                    *place[:2],
                    error,
                )
            return None

    @property
    def damaged(self) -> int:
        """How many windows could not be read so far."""
        return len(self._damaged)

    def _forget_tombstones(self, before: float) -> None:
        old = self._connection.execute(
            "SELECT origin, max(revision) FROM windows WHERE summary IS NULL AND gone < ? GROUP BY origin", (before,)
        ).fetchall()
        if old:
            # What is older than these and comes again would otherwise be taken for new.
            self._connection.executemany(
                "INSERT INTO about VALUES('forgotten of ' || ?, ?) ON CONFLICT(name) DO UPDATE SET value = max(value, excluded.value)",
                old,
            )
            self._connection.execute("DELETE FROM windows WHERE summary IS NULL AND gone < ?", (before,))


def _window(row: Sequence[Any]) -> Window:
    seconds, start, version, segment, refused, summary, problems, truth, *rest = row
    examples = rest[0] if rest else None
    return Window(
        WindowKey(_LENGTHS[seconds], start, version, segment),
        WindowSummary.from_bytes(summary),
        refused,
        Counter(_decode_problems.decode(problems) if problems else {}),
        Counter({(true, said): count for true, said, count in _decode_truth.decode(truth)} if truth else {}),
        _decode_examples.decode(examples) if examples else (),
    )


def _content(window: Window) -> tuple[int, bytes, bytes | None, bytes | None, bytes | None]:
    """Return what a row holds of a window beside its key."""
    encode = msgspec.msgpack.encode
    truth = [(true, said, count) for (true, said), count in window.truth.items()]
    return (
        window.refused,
        window.summary.to_bytes(),
        encode(dict(window.problems)) if window.problems else None,
        encode(truth) if truth else None,
        encode(window.examples) if window.examples else None,
    )


def _renamed(window: Window, key: WindowKey) -> Window:
    """Return the window as all that there is of a longer one."""
    return replace(window, key=key)
