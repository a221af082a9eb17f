"""From a store to a sink: lease an item, attempt to deliver it, settle it."""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import anyio

from aiohooks.backoff import Backoff
from aiohooks.delivery.circuit import MOST_SECONDS, Circuit
from aiohooks.delivery.failure import Failure, failure_of
from aiohooks.delivery.item import Item, Lease, Store
from aiohooks.delivery.pace import MOST_FILLED, WINDOW_SECONDS, Pace
from aiohooks.errors import AiohooksError
from aiohooks.rate import NANOSECONDS, Rate, RateLimiter, nanoseconds

logger = logging.getLogger("aiohooks.delivery")

SETTLE_SECONDS = 5.0
"""How long a worker that is cancelled waits for the store to take back what it has leased."""

WAITING = 64
"""Items that a worker may hold beside those it attempts: the store is recording how they ended; or, if order is kept, they wait for
their next attempt, or for an earlier one of their source if the store cannot pass over a source of which an item is leased."""

LOOK_SECONDS = 1.0
"""Seconds between two looks at the store: at whether it has room and, by whoever waits for the end of all items, at whether some have
ended elsewhere: purged, dropped, or delivered by another machine."""


@dataclass(slots=True)
class DeliveryCounts:
    """What a worker did since it started.

    ``attempts = delivered + retried + dead + interrupted``, once nothing is under way.

    Attributes:
        attempts: attempts to deliver.
        delivered: items that were delivered.
        retried: attempts that failed in a way that may pass.
        dead: items that were given up.
        interrupted: attempts cut short because the worker closed.
        unsettled: items whose end the store could not record: it will hand them out again, after its next start at the latest.
    """

    attempts: int = 0
    delivered: int = 0
    retried: int = 0
    dead: int = 0
    interrupted: int = 0
    unsettled: int = 0


class Delivered(NamedTuple):
    """How an item ended.

    Attributes:
        item: the item.
        attempt: number of the last attempt, from 1.
        seconds: that it took.
        value: what the sink answered.
        failure: why the item was given up; None if it was delivered.
    """

    item: Item
    attempt: int
    seconds: float
    value: Any = None
    failure: Failure | None = None


class DeliveryWorker:
    """Delivers what a store holds, again and again until it is delivered or never can be.

    Several items at once, no faster than the rate, and none while the sink is down but one that probes it. An item that fails goes
    back to the store for the time of its back-off; if order is kept, it stays here, and with it those after it of its source.

    Args:
        name: its name in log lines.
        store: where items are, open.
        deliver: delivers an item; what it raises says whether that may pass (see `failure_of`). Cancelled after ``timeout``.
        max_concurrency: attempts at once.
        rate: of attempts; None for no limit.
        pace: slows attempts down while the processors are busy and the store is not very full; None: never.
        ordered: whether items of one source are delivered one after the other, in the order in which they were accepted.
        timeout: seconds for an attempt.
        backoff: pauses of an item that failed, and of a sink that is down.
        ended: told how each item ended.
        jitter: gives numbers in 0–1.

    Attributes:
        counts: what it did.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        deliver: Callable[[Item, int], Awaitable[Any]],
        *,
        max_concurrency: int,
        rate: Rate | None,
        ordered: bool,
        timeout: float,
        backoff: Backoff,
        pace: Pace | None = None,
        ended: Callable[[Delivered], None] = lambda _: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.counts = DeliveryCounts()
        self._name = name
        self._store = store
        self._deliver = deliver
        self._ordered = ordered
        self._timeout = timeout
        self._backoff = backoff
        self._ended = ended
        self._jitter = jitter
        self._circuit = Circuit(backoff)
        self._limiter = RateLimiter(rate) if rate is not None else None
        self._pace = pace
        self._has_room = False
        self._look_for_room_at = 0.0
        self._hands = anyio.Semaphore(max_concurrency + WAITING)
        self._attempts = anyio.Semaphore(max_concurrency)
        self._gate = anyio.Lock()
        self._lines: dict[str, deque[Lease]] = {}
        self._news = anyio.Event()
        self._turned = anyio.Event()
        self._settling: set[anyio.CancelScope] = set()
        self._settle_until = math.inf
        self._is_over = False
        self._has_shown_trace = False

    @property
    def circuit(self) -> Literal["closed", "open", "half_open"]:
        """``closed`` while the sink works, ``open`` while it is left alone, ``half_open`` while one attempt probes it."""
        return self._circuit.state

    async def run(self) -> None:
        """Deliver until cancelled; what is leased then goes back to the store."""
        try:
            await self._deliver_all()
        finally:
            self._is_over = True
            self._tell()

    async def _deliver_all(self) -> None:
        async with anyio.create_task_group() as lines:
            try:
                await self._lease_all(lines.start_soon)
            finally:
                self._settle_until = anyio.current_time() + SETTLE_SECONDS
                for settling in self._settling:
                    settling.deadline = self._settle_until

    async def _lease_all(self, start_soon: Callable[..., object]) -> None:
        failures = 0
        while True:
            await self._hands.acquire()
            if not self._ordered:
                await self._attempts.acquire()  # for the attempt, which gives it back
            try:
                await self._sink_is_up()
                lease = await self._store.lease(in_order=self._ordered)
            except Exception as error:
                self._hands.release()
                if not self._ordered:
                    self._attempts.release()
                logger.warning("%s: no item can be had of the store: %s", self._name, failure_of(error).reason)
                await anyio.sleep(self._backoff.seconds(failures, self._jitter()))
                failures += 1
                continue
            failures = 0
            # No await from here to the task: what was leased is in its hands.
            name = lease.item.source if self._ordered else lease.item.key
            if name in self._lines:
                self._lines[name].append(lease)
            else:
                self._lines[name] = deque([lease])
                start_soon(self._serve, name)

    async def drained(self) -> None:
        """Wait until the store holds nothing that is to be delivered, or the worker has ended."""
        is_told = False
        while not self._is_over:
            news = self._news
            if news.is_set():
                news = self._news = anyio.Event()
            try:
                status = await self._store.status()
            except Exception as error:
                if not is_told:
                    is_told = True
                    reason = failure_of(error).reason
                    logger.warning("%s: the store cannot say what it holds: %s", self._name, reason)
            else:
                if not (status.ready or status.leased or status.delayed):
                    return
            with anyio.move_on_after(LOOK_SECONDS):
                await news.wait()

    async def _serve(self, name: str) -> None:
        """Settle one item after the other of a line, until none is left in it."""
        line = self._lines[name]
        try:
            while line:
                await self._settle(line[0])
                line.popleft()
                self._hands.release()
                self._tell()
            del self._lines[name]
        finally:
            with anyio.CancelScope(shield=True, deadline=self._settle_until) as settling, self._hurried(settling):
                await self._give_back(name)

    async def _settle(self, lease: Lease) -> None:
        """Attempt until the item is delivered, buried or, unless order is kept, back in the store."""
        attempt = lease.attempt
        while True:
            ended = await self._attempt(lease.item, attempt)
            failure = ended.failure
            if failure is None:
                await self._to_store(self._store.ack, lease)
                self.counts.delivered += 1
                self._ended(ended)
                return
            if not failure.may_pass:
                logger.warning("%s: item %s is given up: %s", self._name, lease.item.key, failure.reason)
                await self._to_store(self._store.bury, lease, reason=failure.reason)
                self.counts.dead += 1
                self._ended(ended)
                return
            self.counts.retried += 1
            pause = self._backoff.seconds(attempt - 1, self._jitter())
            pause = max(pause, min(failure.retry_after, MOST_SECONDS))
            logger.info("%s: attempt %d: %s; again in %.3g s", self._name, attempt, failure.reason, pause)
            if not self._ordered:
                await self._to_store(self._store.nack, lease, delay=pause, reason=failure.reason)
                return
            self._tell()
            await anyio.sleep(pause)
            attempt += 1

    async def _attempt(self, item: Item, number: int) -> Delivered:
        if self._ordered:
            await self._attempts.acquire()
        try:
            return await self._attempt_in_turn(item, number)
        finally:
            self._attempts.release()

    async def _attempt_in_turn(self, item: Item, number: int) -> Delivered:
        async with self._turn() as attempt:
            clock = anyio.current_time
            started = clock()
            self.counts.attempts += 1
            value: Any = None
            failure: Failure | None = None
            try:
                with anyio.move_on_after(self._timeout) as patience:
                    value = await self._deliver(item, number)
                if patience.cancelled_caught:
                    failure = Failure(f"no end after {self._timeout:g} s", may_pass=True)
            except Exception as error:
                failure = failure_of(error)
                self._show_trace(error, failure)
            except asyncio.CancelledError:  # noqa: ASYNC103  # see below
                if anyio.current_effective_deadline() == -math.inf:
                    self.counts.interrupted += 1
                    raise
                # Somebody cancelled this attempt alone; the worker goes on.
                failure = Failure("it was cancelled", may_pass=True)
            self._judge_sink(attempt, failure)
            return Delivered(item, number, clock() - started, value, failure)

    def _show_trace(self, error: Exception, failure: Failure) -> None:
        """Log where the first failure that looks like a mistake in the code comes from."""
        if not (failure.may_pass or isinstance(error, AiohooksError) or self._has_shown_trace):
            self._has_shown_trace = True
            logger.warning("%s: the first failure of its kind", self._name, exc_info=error)

    def _judge_sink(self, attempt: int, failure: Failure | None) -> None:
        before = self._circuit.state
        if failure is None or not failure.may_pass:
            self._circuit.succeeded()
            if before != "closed":
                logger.warning("%s: the sink works again", self._name)
            return
        now = anyio.current_time()
        self._circuit.failed(attempt, now, jitter=self._jitter(), at_least=failure.retry_after)
        if before == "closed" and self._circuit.state == "open":
            pause = self._circuit.wait(now)
            logger.warning("%s: the sink is left alone for %.3g s: %s", self._name, pause, failure.reason)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[int]:
        """Wait until circuit and rate let an attempt begin; first come, first served."""
        async with self._gate:
            while True:
                await self._sink_is_up()
                limiter = self._limiter
                if limiter is not None and (wait := limiter.wait(nanoseconds(anyio.current_time()))):
                    await anyio.sleep(wait / NANOSECONDS)
                    continue
                await self._give_way()  # last, since it takes a place of its own
                now = anyio.current_time()
                if not self._circuit.wait(now) and (limiter is None or limiter.allows(nanoseconds(now))):
                    break
            attempt = self._circuit.begin(now)
        try:
            yield attempt
        finally:
            self._circuit.abandoned(attempt)
            self._turned.set()

    async def _give_way(self) -> None:
        """Leave the processors to others for a while; without an await if there is no need."""
        pace = self._pace
        while pace is not None and pace.is_busy(now := anyio.current_time()) and await self._may_wait(now):
            wait = pace.wait(anyio.current_time())
            if not wait:
                return
            await anyio.sleep(min(wait, WINDOW_SECONDS))

    async def _may_wait(self, now: float) -> bool:
        """Tell whether the store has room for what is not delivered meanwhile."""
        if now >= self._look_for_room_at:
            self._look_for_room_at = now + LOOK_SECONDS
            self._has_room = False
            try:
                filled = (await self._store.status()).filled
            except Exception:
                return False  # who leases hears of the trouble
            if filled is None:
                self._pace = None
            else:
                self._has_room = filled < MOST_FILLED
        return self._has_room

    async def _sink_is_up(self) -> None:
        """Wait until the circuit lets an attempt begin; without an await if it does."""
        while wait := self._circuit.wait(anyio.current_time()):
            if self._turned.is_set():
                self._turned = anyio.Event()
            with anyio.move_on_after(wait):
                await self._turned.wait()

    async def _give_back(self, name: str) -> None:
        line = self._lines.pop(name, deque())
        while line:
            await self._settled(self._store.nack, line.popleft(), delay=0.0, reason="the worker closed")

    async def _to_store(self, settle: Callable[..., Awaitable[None]], lease: Lease, **how: Any) -> None:
        """Settle, to its end even if the worker is cancelled: a delivered item is not to be delivered again for that."""
        with anyio.CancelScope(shield=True, deadline=self._settle_until) as settling, self._hurried(settling):
            await self._settled(settle, lease, **how)

    @contextmanager
    def _hurried(self, settling: anyio.CancelScope) -> Iterator[None]:
        """Let it take the time that the store takes; once the worker is cancelled, not for ever."""
        self._settling.add(settling)
        try:
            yield
        finally:
            self._settling.discard(settling)

    async def _settled(self, settle: Callable[..., Awaitable[None]], lease: Lease, **how: Any) -> None:
        try:
            await settle(lease, **how)
        except Exception as error:
            self.counts.unsettled += 1
            reason = failure_of(error).reason
            logger.warning("%s: the store could not take down the end of %s: %s", self._name, lease.item.key, reason)
        except BaseException:
            self.counts.unsettled += 1
            raise

    def _tell(self) -> None:
        self._news.set()
