"""The SQLite file that a drift monitor keeps everything in."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aiohooks.errors import DeliveryError, LoadError

VERSION = 1
"""Of the tables; the only one that is read."""

_APPLICATION = 0x41484452  # "AHDR", https://sqlite.org/pragma.html#pragma_application_id

_MOST_PAGES = 25_000

_TABLES = """
    CREATE TABLE about(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE windows(
        id INTEGER PRIMARY KEY,
        seconds INTEGER NOT NULL, start INTEGER NOT NULL, version TEXT NOT NULL, segment TEXT NOT NULL,
        origin TEXT NOT NULL,                   -- the database whose monitor saw the events
        revision INTEGER NOT NULL,              -- grows with every change that the origin makes
        refused INTEGER NOT NULL,
        summary BLOB,                           -- NULL: folded into a longer window, or forgotten
        problems BLOB, truth BLOB, examples BLOB,
        folded INTEGER NOT NULL DEFAULT 0,      -- changes up to this revision of shorter windows inside are in it
        gone REAL                               -- since when there is no summary
    );
    CREATE UNIQUE INDEX windows_by_key ON windows(start, seconds, version, segment, origin);
    CREATE INDEX windows_by_revision ON windows(origin, revision);
    CREATE TABLE ids(hash INTEGER PRIMARY KEY, number INTEGER NOT NULL, place BLOB);
    CREATE INDEX ids_by_number ON ids(number);
    CREATE TABLE raw(
        id INTEGER PRIMARY KEY, start INTEGER NOT NULL, version TEXT NOT NULL, segment TEXT NOT NULL,
        events BLOB NOT NULL
    );
    CREATE INDEX raw_by_start ON raw(start);
    CREATE TABLE due(seconds INTEGER, start INTEGER, version TEXT, changed REAL, PRIMARY KEY(seconds, start, version)) WITHOUT ROWID;
    CREATE TABLE rules(name TEXT, version TEXT, segment TEXT, state BLOB NOT NULL, PRIMARY KEY(name, version, segment)) WITHOUT ROWID;
    CREATE TABLE alerts(id INTEGER PRIMARY KEY, rule TEXT NOT NULL, start INTEGER NOT NULL, is_new INTEGER NOT NULL, alert BLOB NOT NULL);
    CREATE INDEX alerts_by_start ON alerts(start);
    CREATE INDEX new_alerts ON alerts(id) WHERE is_new;
"""


class Database:
    """A connection, in the thread that made it. Every method blocks.

    Args:
        path: of the file; made if it is not there.
        read_only: another process may write to it meanwhile.

    Raises:
        LoadError: it is not such a file, is newer, or is not there and to be read.
        DeliveryError: it cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        if read_only and not path.is_file():
            raise LoadError(f"{path}: there is no such file; a drift monitor's database was to be read from it")
        try:
            if read_only:
                self.connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        except (OSError, sqlite3.Error) as error:
            raise DeliveryError(f"{path}: the database cannot be opened: {error}") from error
        try:
            self._prepare(read_only)
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, read_only: bool) -> None:
        try:
            tables = self.value("SELECT count(*) FROM sqlite_schema")
            application, version = self.value("PRAGMA application_id"), self.value("PRAGMA user_version")
            if tables and application != _APPLICATION:
                raise LoadError(f"{self.path}: this is not the database of a drift monitor; name another file")
            if version > VERSION:
                raise LoadError(
                    f"{self.path}: a newer aiohooks wrote this database (version {version}; this one reads up to {VERSION}); "
                    "update aiohooks, or begin another file"
                )
            if read_only:
                return
            if not tables:
                self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # With a write-ahead log a killed process loses nothing that was committed; a power loss may undo the last
            # commits, and breaks nothing.
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.execute("PRAGMA journal_size_limit = 16777216")
            if not tables:
                self.connection.executescript(
                    f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {VERSION}; {_TABLES} COMMIT;"
                )
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._failure(error) from error
            raise LoadError(
                f"{self.path}: this is not a database, or it is damaged: {error}; move it away, or name another file"
            ) from error

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self.connection.close()

    def value(self, sql: str, *values: object) -> int:
        """Return the one number that a query gives."""
        ((value,),) = self.connection.execute(sql, values)
        return int(value)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all that is done within, or nothing.

        Raises:
            DeliveryError: it could not be written, because the disk is full, or otherwise.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # what fails for a full disk has been rolled back already
                    self.connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read; one query sees one state, whatever is written meanwhile.

        Raises:
            DeliveryError: it cannot be read.
        """
        try:
            yield self.connection
        except sqlite3.Error as error:
            raise self._failure(error) from error

    @property
    def nbytes(self) -> int:
        """Bytes of what is stored, without pages that are free."""
        with self.reading():
            pages = self.value("PRAGMA page_count") - self.value("PRAGMA freelist_count")
            return pages * self.value("PRAGMA page_size")

    def shrink(self) -> None:
        """Give free pages back to the file system, some at a time."""
        # Not by `execute`, which takes one step, and so gives one page back.
        with self.reading() as connection:
            connection.executescript(f"PRAGMA incremental_vacuum({_MOST_PAGES})")

    def _failure(self, error: sqlite3.Error) -> DeliveryError:
        return DeliveryError(f"{self.path}: {error}")
