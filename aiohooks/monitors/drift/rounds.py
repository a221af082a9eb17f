"""What a drift monitor does again and again: hand events to its worker thread, write them, and have rules look at windows."""

import logging
from collections.abc import Callable

import anyio

from aiohooks.errors import DeliveryError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_desk import AlertDesk
from aiohooks.monitors.drift.counts import DriftCounts
from aiohooks.monitors.drift.intake import Intake
from aiohooks.monitors.drift.ledger import Evaluated, Ledger
from aiohooks.one_thread import OneThread

logger = logging.getLogger("aiohooks.monitors")

_LONGEST_SLEEP = 60.0
"""Seconds after which the time of day is read again: clocks are set, and machines sleep."""

_NEVER = float("inf")


class Rounds:
    """The tasks of a drift monitor: `gather`, `flush_in_time` and `watch`, each until cancelled.

    Args:
        name: of the monitor, in messages.
        thread: makes all calls of the ledger.
        ledger: takes events and evaluates.
        intake: holds inferences that are to be handed over.
        desk: takes alerts.
        counts: where failures are counted.
        flush_interval: seconds after which events are written.
        lateness: seconds after its end that a window is waited for.
        clock: gives the time of day in seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        thread: OneThread,
        ledger: Ledger,
        intake: Intake,
        desk: AlertDesk,
        counts: DriftCounts,
        *,
        flush_interval: float,
        lateness: float,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._thread, self._ledger, self._intake, self._desk, self._counts = thread, ledger, intake, desk, counts
        self._flush_interval = flush_interval
        self._lateness = lateness
        self._clock = clock
        self._dirty = anyio.Event()
        self._changed = anyio.Event()
        self._next_end: float = _NEVER
        self._failing = False

    def note_events(self) -> None:
        """Say that there are events to be written."""
        self._dirty.set()

    def note_windows(self) -> None:
        """Say that windows in the database have changed."""
        self._changed.set()

    async def gather(self) -> None:
        """Hand inferences to the worker thread, many at once."""
        while True:
            await self._intake.gathered()
            await self.hand_over()

    async def hand_over(self) -> None:
        """Have the worker thread take in the inferences that wait."""
        while self._intake.waiting:
            self._intake.begin_taking()
            try:
                await self._thread.run(self._ledger.take, self._intake.waiting, self._clock())
            except DeliveryError as error:
                self._tell_of_failure(error)
            except Exception:
                logger.exception("drift monitor %s: events are lost", self._name)
            finally:
                # Also for a caller that was cancelled: the thread has done its work.
                self._desk.alarm_is_on = self._ledger.alarm_is_on
                while self._ledger.sounded:
                    self._desk.give(self._ledger.sounded.popleft())
                self._intake.end_taking()

    async def flush_in_time(self) -> None:
        """Write what only memory has, so many seconds after there was something."""
        while True:
            await self._dirty.wait()
            await anyio.sleep(self._flush_interval)
            self._dirty = anyio.Event()
            await self.hand_over()
            try:
                await self.flush()
            except DeliveryError:
                self._dirty.set()
            except Exception:
                logger.exception("drift monitor %s: events could not be written", self._name)
                self._dirty.set()

    async def flush(self) -> None:
        """Write what the worker thread has in memory.

        Raises:
            DeliveryError: the disk is full, or it cannot be written; it stays in memory.
        """
        try:
            await self._thread.run(self._ledger.flush, self._clock())
        except DeliveryError as error:
            self._tell_of_failure(error)
            raise
        self._failing = False
        self._changed.set()

    async def write_the_rest(self) -> None:
        """Hand over and write what there is; what cannot be written is counted as lost, and logged."""
        try:
            await self.hand_over()
            await self._thread.run(self._ledger.flush, self._clock())
        except Exception as error:
            left = self._ledger.unwritten
            self._ledger.unwritten = 0
            self._counts.failed_flushes += 1
            self._counts.lost += left
            self._counts.accepted -= left
            trace = None if isinstance(error, DeliveryError) else error
            logger.error("drift monitor %s: %s; %d events are lost", self._name, error, left, exc_info=trace)  # noqa: TRY400

    async def watch(self) -> None:
        """Have the rules look at windows as they close."""
        while True:
            self._changed = anyio.Event()
            try:
                evaluated = await self._evaluate(None)
                self._take(evaluated)
                if evaluated.more:
                    continue
            except DeliveryError as error:
                self._tell_of_failure(error)
                self._next_end = self._clock() + self._flush_interval
            except Exception:
                logger.exception("drift monitor %s: its rules could not be evaluated", self._name)
                self._next_end = _NEVER
            pause = self._next_end + self._lateness - self._clock()
            with anyio.move_on_after(min(max(pause, self._flush_interval), _LONGEST_SLEEP)):
                await self._changed.wait()

    async def evaluate(self) -> list[DriftAlert]:
        """Have the rules look at all windows that have ended, without waiting for late events, and return the new alerts.

        Raises:
            DeliveryError: the database cannot be read or written.
        """
        await self.hand_over()
        alerts: list[DriftAlert] = []
        more = True
        while more:
            evaluated = await self._evaluate(0.0)
            alerts += self._take(evaluated)
            more = evaluated.more
        return alerts

    async def _evaluate(self, lateness: float | None) -> Evaluated:
        return await self._thread.run(self._ledger.evaluate, self._clock(), lateness, self._desk.given)

    def _take(self, evaluated: Evaluated) -> list[DriftAlert]:
        self._next_end = _NEVER if evaluated.next_end is None else evaluated.next_end
        return self._desk.take(evaluated)

    def _tell_of_failure(self, error: DeliveryError) -> None:
        self._counts.failed_flushes += 1
        if not self._failing:
            self._failing = True
            logger.error(
                "drift monitor %s: %s; events stay in memory while there is room, and are written as soon as that is possible",
                self._name, error,
            )  # fmt: skip
