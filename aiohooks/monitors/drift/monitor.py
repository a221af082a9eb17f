"""Watches a stream of inferences drift away from its baseline."""

import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
from numpy.typing import ArrayLike

from aiohooks.errors import DeploymentError, SpecError
from aiohooks.frame import Frame
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.metric_family import Family
from aiohooks.monitors.drift import metrics
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_actions import AlertAction, LogAlert
from aiohooks.monitors.drift.alert_desk import AlertDesk
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import Bin
from aiohooks.monitors.drift.counts import DriftCounts
from aiohooks.monitors.drift.ingest import MOST_EVENTS, EventColumns, Events, source_of
from aiohooks.monitors.drift.intake import Intake
from aiohooks.monitors.drift.integrity import is_writable
from aiohooks.monitors.drift.ledger import Judged, Ledger, LedgerSettings, Published
from aiohooks.monitors.drift.reading import metrics_of
from aiohooks.monitors.drift.retention import DriftRetention
from aiohooks.monitors.drift.rounds import Rounds
from aiohooks.monitors.drift.rule import DriftRule
from aiohooks.monitors.drift.window import Window, WindowKey
from aiohooks.monitors.ood.collect import check_features
from aiohooks.one_thread import OneThread
from aiohooks.prediction import Prediction
from aiohooks.task_owner import TaskOwner

logger = logging.getLogger("aiohooks.monitors")

CLOSE_SECONDS = 5.0
"""How long actions have to finish with alerts when the monitor closes."""

_NEVER = float("inf")

_open: "WeakValueDictionary[str, DriftMonitor]" = WeakValueDictionary()


def open_monitor(name: str) -> "DriftMonitor | None":
    """Return the monitor of that name that is open in this process, if there is one."""
    return _open.get(name)


class DriftMonitor:
    """Sums up the events of a stream by minute, tells when they leave the baseline, and keeps all in one file.

    Attach it to a deployment (`Deployment.attach`), `publish` to it, or both. Use it in ``async with``, or call `open` and `aclose`.

    Args:
        baseline: what the stream is compared with.
        database: SQLite file; made if it is not there. It belongs to one baseline.
        name: by which a `DriftTrigger` finds it.
        rules: when windows give an alert; by default hours with a false-alarm rate of 0.01. Looked at as windows close.
        alarm_rate: false alarms per 1,000 inferences of the alarm that looks at each of them as it comes, above 0 and at most 10; None: there
            is no such alarm. It depends on their order, is there for observed inferences only, and begins anew with the monitor.
        actions: what is done with an alert: a `LogAlert`, an `AlertWebhook`, any coroutine function of a `DriftAlert`.
        model_version: of events that do not say theirs; by default the name of the model that it is attached to, or else that of the monitor.
        labels: names of the classes of published events; by default those of the model that it is attached to.
        segment: what inferences are told apart by: a name, or a function of frame and prediction that gives one.
        flush_interval: seconds after which events are in the file: what a killed process loses at most.
        lateness: seconds after its end, and after its last event where that is later, for which a window is waited for.
        horizon: how many ids of published events are remembered: one that comes again within them counts once.
        retention: how long windows are kept, and how large the file may grow.
        keep_events: keep the features of every event and what else is known of it, in half precision, for as long as ``retention`` says: a new
            baseline can be made of them.
        examples: keep small pictures of some events of each window.
        most_segments: events of further segments belong to ``(other)``; so it is with versions.
        action_timeout: seconds that an action may take for an alert, retries included.
        clock: gives the time of day in seconds since the epoch, for replays and tests.

    Raises:
        SpecError: a value is out of its range, two rules have the same name, or there is no such metric.
    """

    def __init__(
        self,
        baseline: DriftBaseline,
        database: str | os.PathLike[str],
        *,
        name: str = "drift",
        rules: Sequence[DriftRule] | None = None,
        alarm_rate: float | None = 0.2,
        actions: Sequence[AlertAction] = (LogAlert(),),
        model_version: str | None = None,
        labels: Sequence[str] = (),
        segment: str | Callable[[Frame, Prediction], str] = "",
        flush_interval: float = 5.0,
        lateness: float = 30.0,
        horizon: int = 500_000,
        retention: DriftRetention | None = None,
        keep_events: bool = False,
        examples: bool = True,
        most_segments: int = 64,
        action_timeout: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(baseline, DriftBaseline):
            raise SpecError(
                f"a monitor takes a baseline, such as DriftBaseline.load('baseline.drift'), not {baseline!r}"
            )
        rules = (DriftRule(name="drift by the hour"),) if rules is None else tuple(rules)
        if len({rule.name for rule in rules}) < len(rules):
            raise SpecError(f"two rules of monitor {name!r} have the same name")
        for rule in rules:
            if rule.metric not in (known := metrics_of(baseline)):
                raise SpecError(f"rule {rule.name!r}: there is no metric {rule.metric!r}; there are {', '.join(known)}")
        for what, value, least in (
            ("flush_interval", flush_interval, 0.01),
            ("lateness", lateness, 0.0),
            ("horizon", horizon, 0),
            ("most_segments", most_segments, 1),
            ("action_timeout", action_timeout, 0.01),
        ):
            if not value >= least:
                raise SpecError(f"{what}: at least {least:g} is needed, not {value!r}")
        for what, text in (("name", name), ("model_version", model_version), ("segment", segment)):
            if isinstance(text, str) and not is_writable(text):
                raise SpecError(f"{what}: {text!a} cannot be written as UTF-8")
        self.name = name
        self.baseline = baseline
        self.database = Path(database)
        self.rules = rules
        self._counts = DriftCounts()
        self._intake = Intake(name, self._counts, segment, examples=examples)
        self._clock = clock
        self._version = model_version
        self._ledger = Ledger(
            baseline,
            LedgerSettings(
                path=Path(database), model_version=model_version or name, rules=rules, horizon=horizon,
                retention=retention or DriftRetention(), most_segments=most_segments, keep_events=keep_events, lateness=lateness, alarm_rate=alarm_rate,
            ),
            self._counts,
        )  # fmt: skip
        self._ledger.introduce(labels, model_version or name)
        self._desk = AlertDesk(name, actions, action_timeout, self._ledger.settled.append)
        self._counts.alerts = self._desk.runner.counts
        self._thread = OneThread(f"aiohooks drift monitor {name}")
        self._rounds = Rounds(
            name, self._thread, self._ledger, self._intake, self._desk, self._counts,
            flush_interval=flush_interval, lateness=lateness, clock=clock,
        )  # fmt: skip
        self._owner = TaskOwner(f"aiohooks drift monitor {name}")
        self._has_alarm = alarm_rate is not None
        self._state = "new"

    def __repr__(self) -> str:
        return f"DriftMonitor({self.name!r}, {self._state})"

    # life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Open the database and start to look at windows.

        Raises:
            LoadError: the file is something else, or a newer aiohooks wrote it.
            SpecError: it belongs to another baseline, or another open monitor has the same name.
            DeliveryError: it cannot be opened or written.
            DeploymentError: it was opened before, or an action cannot begin.
        """
        if self._state != "new":
            raise DeploymentError(f"drift monitor {self.name} is {self._state}; make another one to open it again")
        if self.name in _open:
            raise SpecError(f"a drift monitor called {self.name!r} is open already; give this one another name=…")
        self._state = "opening"
        try:
            await self._thread.run(self._ledger.open)
            await self._owner.open()
        except BaseException:
            self._state = "closed"
            with anyio.CancelScope(shield=True):
                await self._thread.run(self._ledger.close)
                await self._thread.aclose()
            raise
        self._state = "open"
        _open[self.name] = self
        for task in (self._rounds.gather, self._rounds.flush_in_time, self._desk.runner.run):
            self._owner.start_soon(task)
        if self.rules:
            self._owner.start_soon(self._rounds.watch)
        try:
            await self._desk.runner.begun()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Write what only memory has, finish with alerts for a while, and close the database.

        What cannot be written is counted as lost, and logged.
        """
        if self._state != "open":
            return
        self._state = "closing"
        if _open.get(self.name) is self:
            del _open[self.name]
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as closing:
                closing.callback(setattr, self, "_state", "closed")
                closing.push_async_callback(self._thread.aclose)
                closing.push_async_callback(self._thread.run, self._ledger.close)
                closing.push_async_callback(self._owner.aclose)
                await self._rounds.write_the_rest()
                with anyio.move_on_after(CLOSE_SECONDS):
                    await self._desk.runner.drained()

    # events in -------------------------------------------------------------------------------------------------

    def attached(self, description: ModelDescription, /) -> None:
        """Check that a model gives what the baseline was fitted on; `Deployment.attach` asks.

        Raises:
            SpecError: it gives no features, or others.
        """
        check_features(description.name, description.feature_width)
        if description.feature_width not in (-1, self.baseline.width):
            raise SpecError(
                f"{description.name} gives feature vectors of {description.feature_width} numbers, and the drift baseline was fitted on "
                f"{self.baseline.width}: fit one on this deployment, loaded with these features"
            )
        classes = self.baseline.classes
        if classes and description.labels and len(description.labels) != classes:
            raise SpecError(
                f"{description.name} has {len(description.labels)} labels, and the drift baseline was fitted on {classes}: fit one on this model"
            )
        if self._version is None:
            self._version = description.name
        self._ledger.introduce(description.labels, self._version)

    async def observe(self, frame: Frame, prediction: Prediction, /) -> Prediction:
        """Take in an inference; a deployment that it is attached to calls this. The prediction is returned as it is."""
        if self._state != "open":
            raise DeploymentError(
                f"drift monitor {self.name} is {self._state}: use it in `async with`, or await open() first"
            )
        if await self._intake.observe(frame, prediction):
            self._rounds.note_events()
        return prediction

    async def publish(
        self,
        events: Events,
        *,
        timestamps: ArrayLike | Sequence[Any] | None = None,
        columns: EventColumns | None = None,
    ) -> Published:
        """Take in past or foreign events, in any order.

        Events with an ``id`` count once, however often they come, as long as their id is among the last ``horizon`` ones; this
        holds across crashes. What is wrong with an event raises nothing: it is counted in the result.

        Args:
            events: a data frame (pandas, polars or alike), a mapping of names to columns, a sequence of mappings or of `DriftEvent`, or an
                array (N, D) of features. They are not to be changed before this returns.
            timestamps: of the events, in place of a column: epoch seconds or milliseconds, aware datetimes, texts with a zone, or
                datetime64 in UTC. Events without any are of now.
            columns: what the columns are called.

        Returns:
            How many were accepted, were there before, and were refused, and what was wrong.

        Raises:
            SpecError: it is none of these forms, or a column that is named is not there.
            DeliveryError: the database cannot be written, and there is no more room in memory. Some of the events may have been taken.
            DeploymentError: the monitor is not open.
        """
        self._check_open()
        source = await self._thread.run(source_of, events, timestamps, columns or EventColumns())
        total = Published()
        for start in range(0, source.length, MOST_EVENTS):
            rows = slice(start, min(start + MOST_EVENTS, source.length))
            try:
                total = total.plus(await self._thread.run(self._ledger.take_published, source, rows, self._clock()))
            finally:
                self._rounds.note_events()
        if total.unjudged:
            logger.warning(
                "drift monitor %s: %d events are too old for a rule: they are kept in longer windows than it looks at; "
                "have it look at longer ones, or keep short ones for longer (DriftRetention)",
                self.name, total.unjudged,
            )  # fmt: skip
        return total

    async def publish_truth(self, truth: Mapping[str | int, str | int]) -> int:
        """Take in true labels that have become known, of events that were published with an id among the last ``horizon`` ones.

        Each event's label counts once, in the window of the event; what has one already, or predicted nothing, is left out.

        Args:
            truth: label by id of the event.

        Returns:
            Of how many events a label was counted.

        Raises:
            DeliveryError: it cannot be written; part of the labels may be counted.
            DeploymentError: the monitor is not open.
        """
        self._check_open()
        pairs = [(str(each), str(label)) for each, label in truth.items()]
        counted = 0
        for start in range(0, len(pairs), MOST_EVENTS):
            counted += await self._thread.run(
                self._ledger.publish_truth, pairs[start : start + MOST_EVENTS], self._clock()
            )
        self._rounds.note_windows()
        return counted

    async def flush(self) -> None:
        """Write what only memory has.

        Raises:
            DeliveryError: the disk is full, or it cannot be written; it stays in memory and is tried again.
            DeploymentError: the monitor is not open.
        """
        self._check_open()
        await self._rounds.hand_over()
        await self._rounds.flush()

    @property
    def counts(self) -> DriftCounts:
        """What became of events so far."""
        counts, ledger = self._counts, self._ledger
        counts.waiting = len(self._intake.waiting) + ledger.in_hand
        counts.damaged = ledger.damaged
        counts.written, counts.unwritten = ledger.written, ledger.unwritten
        return counts

    # windows and alerts out ------------------------------------------------------------------------------------

    @property
    def is_drifting(self) -> bool:
        """Whether the latest window of a rule is beyond its threshold, or the alarm that looks at every inference is on."""
        return bool(self._desk.alarmed) or self._desk.alarm_is_on

    @property
    def alarmed(self) -> frozenset[str]:
        """Names of the rules whose latest window is beyond a threshold."""
        return self._desk.alarmed

    @property
    def alarm_is_on(self) -> bool:
        """Whether the alarm that looks at every inference has sounded within the last 100 of them."""
        return self._desk.alarm_is_on

    def metrics(self) -> list[Family]:
        """Return what the monitor measures, for Prometheus; a server to whose deployment it is attached asks."""
        desk = self._desk
        alarm_is_on = desk.alarm_is_on if self._has_alarm else None
        return metrics.families(
            metrics.Standing(self.name, self.rules, self.counts, desk.latest, desk.alarmed, alarm_is_on, desk.alerts)
        )

    async def evaluate(self) -> list[DriftAlert]:
        """Have the rules look at all windows that have ended, without waiting for late events, and return the new alerts.

        Raises:
            DeliveryError: the database cannot be read or written.
            DeploymentError: the monitor is not open.
        """
        self._check_open()
        return await self._rounds.evaluate()

    async def windows(
        self,
        length: Bin,
        since: float = -_NEVER,
        until: float = _NEVER,
        *,
        version: str | None = None,
        segment: str | None = None,
        together: bool = True,
    ) -> list[Judged]:
        """Return the windows of a length, each with what the baseline says of it; longer ones where nothing shorter is kept.

        Args:
            length: of the windows.
            since: those that begin then or later, in seconds since the epoch.
            until: those that begin before.
            version: of one model; by default of all, one after the other.
            segment: one segment.
            together: all segments as one; else one after the other.
        """
        self._check_open()
        await self._rounds.hand_over()
        together = together and segment is None
        return await self._thread.run(
            self._ledger.judged, length, since, until, version, segment, together, self._clock()
        )

    async def window(self, key: WindowKey, *, together: bool = True) -> Window | None:
        """Return one window with its pictures, or None if there was no event in it."""
        self._check_open()
        await self._rounds.hand_over()
        return await self._thread.run(self._ledger.window, key, together, self._clock())

    async def alerts(self, since: float = -_NEVER, until: float = _NEVER) -> list[DriftAlert]:
        """Return the alerts for windows that begin between these times, in seconds since the epoch."""
        self._check_open()
        return await self._thread.run(self._ledger.alerts, since, until)

    async def export(self, since: int = 0) -> AsyncIterator[tuple[bytes, int]]:
        """Yield what other monitors of the same baseline are to `merge`: bundles of bytes, of half a MiB each at most, or one window.

        What was merged here from others is theirs to export.

        Args:
            since: only what has changed after this number, which came with an earlier bundle; 0: all.

        Yields:
            Bytes, and the number up to which they and those before tell all.
        """
        self._check_open()
        await self._rounds.hand_over()
        while (bundle := await self._thread.run(self._ledger.export, since, self._clock())) is not None:
            yield bundle
            since = bundle[1]

    async def sent(self) -> int:
        """Return the number that `set_sent` kept last, also in an earlier run; 0 if it never did."""
        self._check_open()
        return await self._thread.run(self._ledger.sent)

    async def set_sent(self, number: int) -> None:
        """Remember, in the database, that all changes up to this number were sent to others.

        Raises:
            DeliveryError: it cannot be written.
        """
        self._check_open()
        await self._thread.run(self._ledger.set_sent, number)

    async def merge(self, data: bytes) -> int:
        """Take in what another monitor has exported; in any order, any number of times.

        Returns:
            How many windows are new or have changed.

        Raises:
            LoadError: the bytes are of something else, newer or damaged.
            SpecError: they belong to another baseline.
            DeliveryError: the database cannot be written; nothing is taken in.
            DeploymentError: the monitor is not open.
        """
        self._check_open()
        changed = await self._thread.run(self._ledger.merge, data, self._clock())
        self._rounds.note_windows()
        return changed

    def _check_open(self) -> None:
        if self._state != "open":
            raise DeploymentError(
                f"drift monitor {self.name} is {self._state}: use it in `async with`, or await open() first"
            )
