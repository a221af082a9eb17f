"""What a drift monitor's database knows of its rules: which windows they have to look at, what they remember, which alerts they gave."""

from collections.abc import Iterable, Iterator

import msgspec

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.bin import SECONDS, Bin
from aiohooks.monitors.drift.database import Database
from aiohooks.monitors.drift.rule import RuleState
from aiohooks.monitors.drift.window import WindowKey

_LENGTHS: dict[int, Bin] = {seconds: length for length, seconds in SECONDS.items()}


class AlertBook:
    """The tables ``due``, ``rules`` and ``alerts``. Every method blocks; changes belong into a transaction of the database.

    Args:
        database: open, in this thread.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection

    def due(self, now: float, lateness: float, most: int) -> list[tuple[WindowKey, float]]:
        """Return the windows that have closed and not been looked at since they changed, in the order of their end.

        Args:
            now: in seconds since the epoch.
            lateness: seconds after its end, and after its last change where it changed later, that a window is waited for.
            most: so many at most.
        """
        rows = self._connection.execute(
            "SELECT seconds, start, version, changed FROM due WHERE start + seconds + ? <= ? AND changed + ? <= ? "
            "ORDER BY start + seconds, seconds LIMIT ?",
            (lateness, now, lateness, now, most),
        )
        return [
            (WindowKey(_LENGTHS[seconds], start, version, ""), changed) for seconds, start, version, changed in rows
        ]

    def done(self, key: WindowKey, changed: float) -> None:
        """A window was looked at as it was when it changed last."""
        self._connection.execute(
            "DELETE FROM due WHERE seconds = ? AND start = ? AND version = ? AND changed <= ?",
            (SECONDS[key.length], key.start, key.version, changed),
        )

    def next_due(self) -> float | None:
        """Return when the next window ends that is to be looked at, in seconds since the epoch."""
        ((end,),) = self._connection.execute("SELECT min(start + seconds) FROM due")
        return None if end is None else float(end)

    def state(self, rule: str, version: str, segment: str) -> RuleState:
        """Return what a rule remembers; nothing, if that is of a version that cannot be read."""
        row = self._connection.execute(
            "SELECT state FROM rules WHERE name = ? AND version = ? AND segment = ?", (rule, version, segment)
        ).fetchone()
        if row is None:
            return RuleState()
        try:
            return msgspec.msgpack.decode(row[0], type=RuleState)
        except msgspec.DecodeError:
            return RuleState()

    def remember(self, rule: str, version: str, segment: str, state: RuleState) -> None:
        """Keep what a rule is to remember."""
        self._connection.execute(
            "INSERT OR REPLACE INTO rules VALUES(?, ?, ?, ?)", (rule, version, segment, msgspec.msgpack.encode(state))
        )

    def states(self, rule: str) -> Iterator[tuple[str, str, RuleState]]:
        """Yield what a rule remembers of each version and segment."""
        rows = self._connection.execute("SELECT version, segment FROM rules WHERE name = ?", (rule,)).fetchall()
        for version, segment in rows:
            yield version, segment, self.state(rule, version, segment)

    def add(self, alert: DriftAlert, *, is_new: bool = True) -> None:
        """Keep an alert; it is new until actions have ended with it."""
        self._connection.execute(
            "INSERT INTO alerts(rule, start, is_new, alert) VALUES(?, ?, ?, ?)",
            (alert.rule, alert.start, is_new, msgspec.msgpack.encode(alert)),
        )

    def new(self, after: int) -> list[tuple[int, DriftAlert]]:
        """Return the alerts after a number that no action has ended with, also those of an earlier run, each with its number."""
        rows = self._connection.execute(
            "SELECT id, alert FROM alerts WHERE is_new AND id > ? ORDER BY id", (after,)
        ).fetchall()
        return [(number, msgspec.msgpack.decode(alert, type=DriftAlert)) for number, alert in rows]

    def settle(self, numbers: Iterable[int]) -> None:
        """Actions have ended with these alerts."""
        self._connection.executemany("UPDATE alerts SET is_new = 0 WHERE id = ?", ((each,) for each in numbers))

    def was_given(self, alert: DriftAlert) -> bool:
        """Tell whether an alert of that kind was given for that window."""
        return any(
            (one.rule, one.kind, one.version, one.segment) == (alert.rule, alert.kind, alert.version, alert.segment)
            for one in self.alerts(alert.start, alert.start + 1)
            if one.bin == alert.bin
        )

    def alerts(self, since: float, until: float) -> Iterator[DriftAlert]:
        """Yield the alerts for windows that begin between these times, in seconds since the epoch."""
        rows = self._connection.execute(
            "SELECT alert FROM alerts WHERE start >= ? AND start < ? ORDER BY start, id", (since, until)
        )
        for (alert,) in rows:
            yield msgspec.msgpack.decode(alert, type=DriftAlert)
