"""Everything of a drift monitor that blocks: its one worker thread makes all of these calls."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np

from aiohooks.delivery.folder_lock import FolderLock, read_owner
from aiohooks.errors import DeliveryError, SpecError
from aiohooks.monitors.drift import exchange, known_ids
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_book import AlertBook
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import Bin
from aiohooks.monitors.drift.counts import DriftCounts
from aiohooks.monitors.drift.decision import WindowDecision
from aiohooks.monitors.drift.evaluation import evaluate
from aiohooks.monitors.drift.event import EventBatch
from aiohooks.monitors.drift.ingest import MOST_EVENTS, Expected, Source, read_events
from aiohooks.monitors.drift.integrity import is_writable
from aiohooks.monitors.drift.known_ids import Place
from aiohooks.monitors.drift.observation import Observation, batch_of
from aiohooks.monitors.drift.problem import Problems
from aiohooks.monitors.drift.retention import DriftRetention, judged_since
from aiohooks.monitors.drift.rule import DriftRule, RuleState, is_alarmed, latest
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.stream_watch import StreamWatch
from aiohooks.monitors.drift.tally import Tally
from aiohooks.monitors.drift.window import Window, WindowKey

MOST_WINDOWS = 2048
"""Windows in memory, some 10 KB each; when there are more, they are written before their time."""

MOST_IDS = 100_000
"""Ids of events in memory, likewise."""

MOST_KEPT_BYTES = 64 * 1024**2
"""Of events in memory that are to be kept, likewise."""

_TIDY_SECONDS = 60.0
_LEAST_BYTES = 500_000


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger is to do; see `DriftMonitor`."""

    path: Path
    model_version: str
    rules: tuple[DriftRule, ...]
    horizon: int
    retention: DriftRetention
    most_segments: int
    keep_events: bool
    lateness: float
    alarm_rate: float | None


class Published(NamedTuple):
    """What became of events that were published: ``events = accepted + duplicates + refused``.

    Attributes:
        accepted: are counted from now on, and written with the next flush.
        duplicates: had the id of one that was there before, and were left out.
        refused: had a wrong time or wrong features.
        problems: what was wrong, also with other values of accepted ones, by field and problem.
        unjudged: of those accepted, are so old that they are kept in longer windows only than a rule looks at, which so never sees them.
    """

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    problems: Problems = Problems()
    unjudged: int = 0

    def plus(self, other: "Published") -> "Published":
        """Return both together."""
        return Published(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.refused + other.refused,
            self.problems + other.problems,
            self.unjudged + other.unjudged,
        )


class Judged(NamedTuple):
    """A window and what the baseline says of it."""

    window: Window
    decision: WindowDecision


class Evaluated(NamedTuple):
    """What the rules found.

    Attributes:
        alerts: that actions have not ended with, each with its number.
        alarmed: names of the rules whose latest window is beyond a threshold.
        more: whether there are more windows to look at right now.
        next_end: when the next window ends that is to be looked at, in seconds since the epoch.
        latest: what each rule, by its name and a segment, made of its latest window.
    """

    alerts: list[tuple[int, DriftAlert]]
    alarmed: frozenset[str]
    more: bool
    next_end: float | None
    latest: Mapping[tuple[str, str], RuleState]


class Ledger:
    """Events on their way into the database, and what is read from there.

    Args:
        baseline: sums up and judges.
        settings: what else there is to know.
        counts: where it counts what becomes of events; here, because whoever asked for it may be cancelled meanwhile.

    Attributes:
        in_hand: inferences that are taken in just now.
        sounded: alerts of the stream alarm, to be given.
        settled: numbers of alerts that actions have ended with.
        unwritten: good events that only memory has.
        written: good events that the database has got.
    """

    def __init__(self, baseline: DriftBaseline, settings: LedgerSettings, counts: DriftCounts) -> None:
        self.in_hand = 0
        self.sounded: deque[DriftAlert] = deque()
        self.settled: deque[int] = deque()
        self._counts = counts
        self.unwritten = 0
        self.written = 0
        self._baseline = baseline
        self._settings = settings
        self._tally = Tally(
            baseline,
            labels=(),
            model_version=settings.model_version,
            retention=settings.retention,
            most_segments=settings.most_segments,
            keep_events=settings.keep_events,
        )
        self._places: dict[int, Place | None] = {}
        self._watch = None if settings.alarm_rate is None else StreamWatch(baseline, settings.alarm_rate)
        self._alerts: list[DriftAlert] = []
        self._labels: Sequence[str] = ()
        self._damaged = 0
        self._tidied = -_TIDY_SECONDS
        self._store: DriftStore | None = None
        self._lock: FolderLock | None = None

    @property
    def store(self) -> DriftStore:
        """The database, which is open."""
        assert self._store is not None
        return self._store

    def open(self) -> None:
        """Open the database, and put the baseline into it where that is new.

        Raises:
            LoadError: the file is something else, or newer.
            SpecError: it belongs to another baseline, or may not be large enough.
            DeliveryError: it cannot be opened or written, or another monitor has it.
        """
        path = self._settings.path
        store = DriftStore.open(path, self._baseline.identity)
        lock = FolderLock(path.with_name(f"{path.name}.lock"))
        try:
            try:
                lock.acquire()
            except DeliveryError:
                owner = read_owner(path.with_name(f"{path.name}.lock")) or "another process"
                raise DeliveryError(
                    f"{path}: it is in use by {owner}, and one monitor at a time writes to a database; give this one a file of its own, and "
                    "`merge` what it exports"
                ) from None
            except OSError as error:
                raise DeliveryError(f"{path}: it cannot be locked: {error}") from error
            if not store.has_baseline_file:
                with TemporaryDirectory(prefix="aiohooks-") as folder:
                    file = Path(folder) / "baseline"
                    self._baseline.save(file)
                    store.keep_baseline_file(file.read_bytes())
            self._check_size(store)
            self._tally.knows(*store.keys())
        except BaseException:
            lock.release()
            store.close()
            raise
        self._store, self._lock = store, lock

    def _check_size(self, store: DriftStore) -> None:
        needed = len(store.baseline_file() or b"") + self._settings.horizon * known_ids.ID_BYTES + _LEAST_BYTES
        if self._settings.retention.max_bytes < needed:
            raise SpecError(
                f"max_bytes={self._settings.retention.max_bytes:,} leaves no room for windows: the baseline and "
                f"{self._settings.horizon:,} ids take {needed:,}; allow more, or give the monitor a smaller horizon"
            )

    def close(self) -> None:
        """Close the database; what is not written is lost."""
        if self._store is not None:
            with suppress(DeliveryError):  # these alerts are given once more by the next run
                self._settle()
            self._damaged = self._store.damaged
            self._store.close()
            self._store = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def damaged(self) -> int:
        """How many windows of the database could not be read so far."""
        return self._damaged if self._store is None else self._store.damaged

    def introduce(self, labels: Sequence[str], model_version: str) -> None:
        """Use these names of classes, and this version for events that do not say theirs."""
        self._tally.labels, self._tally.model_version = labels, model_version

    # events in -------------------------------------------------------------------------------------------------

    @property
    def alarm_is_on(self) -> bool:
        """Whether the stream alarm has sounded lately."""
        return self._watch is not None and self._watch.is_on

    def take(self, waiting: deque[Observation], now: float) -> None:
        """Take in inferences that wait; if that fails, they are counted as lost.

        Raises:
            DeliveryError: they cannot be written, and there is no more room in memory.
        """
        observations = [waiting.popleft() for _ in range(min(len(waiting), MOST_EVENTS))]
        if not observations:
            return
        self.in_hand = len(observations)
        try:
            part = self.observe(observations, now)
        except BaseException:
            self._counts.lost += len(observations)
            raise
        else:
            self._count(part)
        finally:
            self.in_hand = 0

    def observe(self, observations: Sequence[Observation], now: float) -> Published:
        """Add inferences, and have the stream alarm look at them.

        Raises:
            DeliveryError: they cannot be written, and there is no more room in memory: they are lost.
        """
        self._make_room(now)
        found = batch_of(observations, width=self._baseline.width, classes=self._baseline.classes, now=now)
        self._tally.refuse(found.refused, found.problems, now)
        events = self._tally.add(found.batch, now, found.examples)
        self.unwritten += len(found.batch)
        if self._watch is not None and events is not None:
            alerts = self._watch.see(events, float(found.batch.times[-1]), self._tally.model_version)
            self._alerts += alerts
            self.sounded += alerts
        return Published(len(found.batch), 0, found.refused, found.problems)

    def take_published(self, source: Source, rows: slice, now: float) -> Published:
        """Add events of a source, and count them; see `publish`."""
        part = self.publish(source, rows, now)
        self._counts.published += rows.stop - rows.start
        self._count(part)
        return part

    def _count(self, part: Published) -> None:
        self._counts.accepted += part.accepted
        self._counts.duplicates += part.duplicates
        self._counts.refused += part.refused
        self._counts.problems = dict(Problems(self._counts.problems) + part.problems)

    def publish(self, source: Source, rows: slice, now: float) -> Published:
        """Add events of a source.

        Raises:
            DeliveryError: they cannot be written, and there is no more room in memory: they are not added.
        """
        self._make_room(now)
        classes = self._baseline.classes
        batch, refused, problems = read_events(source, rows, Expected(self._baseline.width, classes or None, now))
        new, places = self._new(batch)
        duplicates = len(batch) - len(new)
        self._tally.refuse(refused, problems, now)
        self._tally.add(new, now)
        self._places.update(places)
        self.unwritten += len(new)
        since = max(
            (judged_since(rule.bin, now, self._settings.retention) for rule in self._settings.rules), default=-np.inf
        )
        return Published(len(new), duplicates, refused, problems, int(np.count_nonzero(new.times < since)))

    def _new(self, batch: EventBatch) -> tuple[EventBatch, dict[int, Place | None]]:
        """Return the events that were not there before, and the hashes of their ids with their places."""
        if batch.ids is None:
            return batch, {}
        hashes = [None if each is None else known_ids.hash_of(each) for each in batch.ids]
        known = self.store.known([each for each in hashes if each is not None])
        fresh: dict[int, int] = {}
        rows = []
        for row, each in enumerate(hashes):
            if each is None:
                rows.append(row)
            elif each not in known and each not in self._places and each not in fresh:
                fresh[each] = len(rows)
                rows.append(row)
        new = batch if len(rows) == len(batch) else batch.take(np.array(rows, np.intp))
        places = self._tally.places(new)
        return new, {each: places[at] for each, at in fresh.items()}

    def publish_truth(self, truth: Sequence[tuple[str, str]], now: float) -> int:
        """Count the true labels of events that were published before, and return of how many.

        Raises:
            DeliveryError: it cannot be written; nothing is counted.
        """
        self.flush(now)
        labels = {
            known_ids.hash_of(event_id): label
            for event_id, label in truth
            if is_writable(event_id) and is_writable(label)
        }
        windows: dict[WindowKey, Window] = {}
        settled = []
        for each, place in self.store.known(list(labels)).items():
            if place is not None:
                window = self._tally.told(place, labels[each], now)
                windows[window.key] = windows[window.key].merge(window) if window.key in windows else window
                settled.append(each)
        self.store.add(
            windows.values(), settled=settled, due=dict.fromkeys(rule.bin for rule in self._settings.rules), now=now
        )
        return len(settled)

    def _make_room(self, now: float) -> None:
        tally = self._tally
        kept_bytes = sum(one.nbytes for one in tally.kept)
        if len(tally.windows) > MOST_WINDOWS or len(self._places) > MOST_IDS or kept_bytes > MOST_KEPT_BYTES:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Write what only memory has, in one transaction.

        Raises:
            DeliveryError: the disk is full, or it cannot be written; it stays in memory.
        """
        if self._tally.windows:
            self.store.add(
                self._tally.windows.values(),
                places=self._places,
                horizon=self._settings.horizon,
                kept=self._tally.kept,
                due=dict.fromkeys(rule.bin for rule in self._settings.rules),
                now=now,
            )
            self._tally.clear()
            self._places.clear()
            self.written += self.unwritten
            self.unwritten = 0
        if self._tally.labels and self._labels != self._tally.labels:
            self.store.labels = self._tally.labels
            self._labels = self._tally.labels
        self._settle()
        if self._alerts:
            with self.store.database.transaction():
                book = AlertBook(self.store.database)
                for alert in self._alerts:
                    book.add(alert, is_new=False)
            self._alerts.clear()
        if time.monotonic() - self._tidied >= _TIDY_SECONDS:
            self._tidied = time.monotonic()
            while self.store.tidy(now, self._settings.retention):
                pass

    def _settle(self) -> None:
        numbers = list(self.settled)
        if numbers:
            with self.store.database.transaction():
                AlertBook(self.store.database).settle(numbers)
            for _ in numbers:
                self.settled.popleft()

    # rules -----------------------------------------------------------------------------------------------------

    def evaluate(self, now: float, lateness: float | None, after: int) -> Evaluated:
        """Have the rules look at the windows that have closed.

        Args:
            now: in seconds since the epoch.
            lateness: that windows are waited for; None: that of the settings.
            after: number of the last alert that was given.

        Raises:
            DeliveryError: the database cannot be read or written.
        """
        self.flush(now)
        rules = self._settings.rules
        with self.store.database.reading():
            alerts, more = evaluate(
                self.store, self._baseline, rules, now, self._settings.lateness if lateness is None else lateness, after
            )
            book = AlertBook(self.store.database)
            states = {rule.name: [(segment, state) for _, segment, state in book.states(rule.name)] for rule in rules}
            alarmed = {rule.name for rule in rules if is_alarmed(rule, [state for _, state in states[rule.name]])}
            seen = {(name, segment): state for name, each in states.items() for segment, state in latest(each).items()}
            return Evaluated(alerts, frozenset(alarmed), more, book.next_due(), seen)

    # out -------------------------------------------------------------------------------------------------------

    def judged(
        self,
        length: Bin,
        since: float,
        until: float,
        version: str | None,
        segment: str | None,
        together: bool,
        now: float,
    ) -> list[Judged]:
        """Return windows with what the baseline says of them; see `DriftStore.windows`."""
        self.flush(now)
        windows = self.store.windows(length, since, until, version=version, segment=segment, together=together)
        return [Judged(window, self._baseline.decide(window.summary)) for window in windows]

    def window(self, key: WindowKey, together: bool, now: float) -> Window | None:
        """Return a window with its pictures."""
        self.flush(now)
        return self.store.window(key, together=together)

    def alerts(self, since: float, until: float) -> list[DriftAlert]:
        """Return the alerts for windows that begin between these times."""
        with self.store.database.reading():
            return list(AlertBook(self.store.database).alerts(since, until))

    def export(self, since: int, now: float) -> tuple[bytes, int] | None:
        """Return the next bundle of this database's own changes, and its highest revision; None if there is no more.

        Raises:
            DeliveryError: the database cannot be read or written.
        """
        self.flush(now)
        store = self.store
        return next(exchange.changes_since(store.database, self._baseline.identity, since, store.origin), None)

    def sent(self) -> int:
        """Return up to which revision changes were sent to others."""
        return self.store.sent

    def set_sent(self, revision: int) -> None:
        """Remember up to which revision changes were sent to others."""
        self.store.sent = revision

    def merge(self, data: bytes, now: float) -> int:
        """Take in a bundle of another monitor, and return how many windows it changed.

        Raises:
            LoadError: the bytes are something else, newer or damaged.
            SpecError: they belong to another baseline.
            DeliveryError: the database cannot be written.
        """
        changes = exchange.read_changes(data, self._baseline.identity)
        due = list(dict.fromkeys(rule.bin for rule in self._settings.rules))
        return self.store.take_in(changes, due=due, now=now)
