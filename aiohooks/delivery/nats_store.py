"""The store of a `NatsSpool`: items in one queue, dead letters in another."""

import heapq
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import anyio
import msgspec
from nats.js.errors import APIError

from aiohooks.delivery.item import Item, Lease, Status, encodable
from aiohooks.delivery.nats_admission import NatsAdmission
from aiohooks.delivery.nats_coding import decoded, encoded
from aiohooks.delivery.nats_connection import Connection, logger
from aiohooks.delivery.nats_letter import Letter
from aiohooks.delivery.nats_queue import Queue
from aiohooks.delivery.nats_stream import Stored, WorkStream
from aiohooks.delivery.policies import Full
from aiohooks.errors import DeliveryError
from aiohooks.task_owner import TaskOwner

_SWEEP = 3600.0
"""Seconds between looks for what unfinished items left behind."""

DEAD_FULL_DELAY = 60.0
"""Seconds after which an item comes back that could not be buried, because the dead letters are full."""

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


class DeadLetter(msgspec.Struct, frozen=True):
    """An item that was given up.

    Attributes:
        item: as it was accepted.
        reason: why.
        attempts: how often it was leased.
    """

    item: Item
    reason: str
    attempts: int


class _Leased:
    """An item in our hands."""

    def __init__(self, item: Item, letter: Letter) -> None:
        self.item = item
        self.attempt = letter.attempt
        self.letter = letter


class NatsStore:
    """Holds items on a NATS server until they are delivered: each accepted one at least once.

    A `aiohooks.delivery.item.Store`, made by `NatsSpool.open`. Any number of tasks may use it. The server's restarts are waited for;
    what it then does not know any more comes back, and is delivered twice.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        *,
        max_bytes: int,
        max_dead_bytes: int,
        full: Full,
        max_attempts: int | None,
        ack_wait: float,
        duplicate_window: float,
        replicas: int,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._name = f"the spool {stream!r} on NATS"
        self._max_attempts = max_attempts
        self._timeout = timeout
        kept = partial(WorkStream, connection, replicas=replicas, duplicate_window=duplicate_window, ack_wait=ack_wait)
        self._work = Queue(connection, kept(stream, max_bytes=max_bytes))
        self._dead = Queue(connection, kept(f"{stream}_dead", max_bytes=max_dead_bytes))
        self._leased: set[_Leased] = set()
        self._taken: dict[str, Letter] = {}
        self._due: list[float] = []
        self._accepted = 0
        self._delivered = 0
        self._lost: Counter[str] = Counter()
        self._admission = NatsAdmission(
            connection,
            self._work,
            name=self._name,
            max_bytes=max_bytes,
            full=full,
            timeout=timeout,
            lost=self._lost,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["NatsStore"]:
        """Make what is missing on the server; in the end, give back what is still leased.

        Raises:
            DeliveryError: the server refuses, or does not answer.
        """
        tasks = TaskOwner(self._name)
        try:
            await tasks.open()
            tasks.start_soon(self._connection.keep_open)
            await self._prepare()
            tasks.start_soon(self._extend)
            tasks.start_soon(self._sweep)
            yield self
        finally:
            with anyio.move_on_after(5, shield=True):
                for letter in list(self._taken.values()):
                    await self._work.give_back(letter)
            with anyio.CancelScope(shield=True):
                await tasks.aclose()

    async def _prepare(self) -> None:
        try:
            with anyio.fail_after(self._timeout):
                await self._work.prepare()
                await self._dead.prepare()
        except TimeoutError:
            raise DeliveryError(f"{self._name} could not be made, or looked at, within {self._timeout:g} s") from None

    async def put(self, item: Item) -> bool:
        """Accept an item, once for each key; return False if it was dropped, and counted.

        While a spool that blocks is full or has no server, this waits; one that drops the oldest items does so until there is room. Where it raises `CancelledError` the item was not accepted,
        unless the server was lost in that moment, or puts it again under the same key: that is refused if it was.

        Raises:
            DeliveryError: the spool is full, or no server answers, and it raises then; the item can never fit; or it is closed.
        """
        self._check(item)
        stored = await self._admission.store(item.key, await encoded(item, len(item.payload)))
        if stored is Stored.STORED:
            self._accepted += 1
        return stored is not Stored.FULL

    async def lease(self, *, in_order: bool = False) -> Lease:  # noqa: ARG002  # the server knows of no sources
        """Wait for an item that is ready, the oldest first, and lease it; the lease is extended while this process lives.

        Args:
            in_order: has no effect.

        Raises:
            DeliveryError: the store is closed.
        """
        while True:
            letter = await self._work.take()
            assert letter is not None
            self._taken[letter.reply] = letter
            foreign: Exception | None = None
            try:
                body = await self._work.body(letter)
                item = await decoded(body, Item) if body is not None else Item(letter.key, "", 0.0, b"")
            except msgspec.MsgspecError as error:
                foreign = error
            except BaseException:
                self._taken.pop(letter.reply, None)
                with anyio.move_on_after(1, shield=True):
                    await self._work.give_back(letter)
                raise
            if body is None:
                await self._forget_incomplete(letter)
                continue
            if foreign is not None:
                leased = _Leased(Item(letter.key, "", 0.0, body), letter)
                await self._give_up(leased, f"not an item of aiohooks: {foreign}")
                continue
            leased = _Leased(item, letter)
            if self._max_attempts is not None and letter.attempt > self._max_attempts:
                await self._give_up(leased, f"leased {letter.attempt - 1} times, and not delivered")
                continue
            self._leased.add(leased)
            return leased

    async def ack(self, lease: Lease) -> None:
        """Report that it was delivered: it is forgotten. Returns once the server has confirmed that.

        Raises:
            DeliveryError: the server did not confirm it within a minute; the item will be leased again, by any worker.
        """
        with self._settling(lease) as letter:
            await self._work.remove(letter)
        self._delivered += 1
        await self._admission.tell_of_room()

    async def nack(self, lease: Lease, *, delay: float, reason: str) -> None:
        """Report that it was not delivered: it comes back after ``delay`` seconds, with one more attempt.

        A server that is restarted meanwhile may give it out sooner. The reason is logged.

        Raises:
            DeliveryError: the server did not confirm it; the item will come back without the delay.
        """
        due = anyio.current_time() + delay  # not after the server's
        with self._settling(lease) as letter:
            logger.debug("NATS: %s comes back in %.3g s: %s", letter.key, delay, reason)
            await self._work.put_back(letter, delay)
        if delay > 0:
            self._forget_due()
            heapq.heappush(self._due, due)

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Give it up: it becomes a dead letter with this reason.

        Raises:
            DeliveryError: the dead letters are full, or the server did not confirm it; the item will come back.
        """
        with self._settling(lease) as letter:
            await self._bury(lease, letter, reason)

    async def _give_up(self, leased: _Leased, reason: str) -> None:
        """Bury what nobody is to have; where that fails, it comes back, and nobody has it then."""
        self._leased.add(leased)
        try:
            await self.bury(leased, reason=reason)
        except DeliveryError as error:
            if self._connection.closed:
                raise
            logger.warning("NATS: %s is not given up yet (%s): %s", leased.item.key, reason, error)

    async def _bury(self, lease: Lease, letter: Letter, reason: str) -> None:
        body = await encoded(DeadLetter(lease.item, encodable(reason), letter.attempt), len(lease.item.payload))
        while True:
            # By this id it is recognised while this burial asks again; what others have done is told by what lies there.
            stored = await self._dead.store(letter.key, body, id=uuid.uuid4().hex, patience=60.0, ends=letter.sequence)
            if stored is not Stored.DUPLICATE:
                break
            there = await self._dead.find(letter.key)
            if there is not None and there.ends == letter.sequence:
                break  # of a burial that was not finished
            if there is not None:
                # It has been replayed: that put here what is buried now, and may be about to remove it.
                await self._dead.delete(there)
        if stored is Stored.FULL:
            await self._work.put_back(letter, DEAD_FULL_DELAY)
            raise DeliveryError(
                f"the dead letters of {self._name} are full: replay or forget them, or make "
                "NatsSpool.max_dead_bytes larger"
            )
        await self._work.remove(letter)
        await self._admission.tell_of_room()

    async def status(self) -> Status:
        """Say what the spool holds on the server, and what this process did with it since it opened it.

        ``delayed`` are the items that this process put off; those of others are among ``leased``. ``accepted``, ``delivered`` and
        ``lost`` are of this process alone. Those that were lost as ``unknown`` may have been stored: the server had them, and did not
        answer in time.

        Raises:
            DeliveryError: no server answers.
        """
        work, dead = await self._work.state(), await self._dead.state()
        self._forget_due()
        delayed = min(len(self._due), work.taken)
        return Status(
            ready=work.ready,
            leased=work.taken - delayed,
            delayed=delayed,
            dead=dead.ready + dead.taken,
            nbytes=work.nbytes + dead.nbytes,
            oldest_seconds=work.oldest_seconds,
            accepted=self._accepted,
            delivered=self._delivered,
            lost=dict(self._lost),
        )

    async def dead_letters(self) -> AsyncIterator[DeadLetter]:
        """Show the dead letters, the oldest first; they stay where they are."""
        letter = await self._dead.look(0)
        while letter is not None:
            body = await self._dead.body(letter)
            if body is not None:
                yield await decoded(body, DeadLetter)
            letter = await self._dead.look(letter.sequence)

    async def replay(self) -> int:
        """Make items of the dead letters again, the oldest first; returns how many.

        One whose item is in the queue, because its burial is not finished or it has been put again, stays dead.

        Raises:
            DeliveryError: the spool is full; what was not replayed is still dead.
        """
        replayed = 0
        in_hand: list[Letter] = []
        await self._dead.revive()
        state = await self._dead.state()
        try:
            for _ in range(state.ready + state.taken):  # what was given back counts as taken
                letter = await self._dead.take(wait=False)
                if letter is None:  # another replays them too
                    break
                in_hand.append(letter)
                stored = await self._replay(letter)
                if stored is Stored.FULL:
                    raise DeliveryError(
                        f"{self._name} is full; {replayed} dead letters were replayed, the rest is still dead"
                    )
                if stored is Stored.STORED:
                    replayed += 1
                if stored is not Stored.DUPLICATE:
                    in_hand.pop()
        finally:
            # Not sooner: what is given back would be the next that is taken.
            with anyio.move_on_after(1, shield=True):
                for letter in in_hand:
                    await self._dead.give_back(letter)
        return replayed

    async def _replay(self, letter: Letter) -> Stored | None:
        """Make an item of a dead letter; None if the server has lost a part of it."""
        body = await self._dead.body(letter)
        if body is None:
            if await self._dead.keeps(letter):
                self._lost["incomplete"] += 1
            await self._dead.remove(letter)
            return None
        item = (await decoded(body, DeadLetter)).item
        again = await encoded(item, len(item.payload))
        stored = await self._work.store(item.key, again, id=uuid.uuid4().hex, patience=60.0)
        if stored is Stored.STORED:
            await self._dead.remove(letter)
        return stored

    async def forget_dead_letters(self) -> int:
        """Delete the dead letters for good; returns how many."""
        return await self._dead.purge()

    async def _forget_incomplete(self, letter: Letter) -> None:
        """Let go of a message whose chunks are gone: another worker has delivered it, unless the server lost them."""
        self._taken.pop(letter.reply, None)
        if await self._work.keeps(letter):
            self._lost["incomplete"] += 1
            logger.error("NATS: the server has lost a part of the item %s; it cannot be delivered", letter.key)
        await self._work.remove(letter)

    def _check(self, item: Item) -> None:
        if self._connection.closed:
            raise DeliveryError(f"{self._name} is closed")
        if not _KEY.fullmatch(item.key):
            raise DeliveryError(
                f"the key {item.key!r} must be 1–128 letters, digits, _ or -: it becomes part of a NATS subject"
            )

    @contextmanager
    def _settling(self, lease: Lease) -> Iterator[Letter]:
        """Release a lease, and have its letter extended for as long as that takes."""
        if not isinstance(lease, _Leased) or lease not in self._leased:
            raise DeliveryError(f"the item {lease.item.key} is not leased from this store: it was settled before")
        self._leased.discard(lease)
        try:
            yield lease.letter
        finally:
            self._taken.pop(lease.letter.reply, None)

    def _forget_due(self) -> None:
        while self._due and self._due[0] <= anyio.current_time():
            heapq.heappop(self._due)

    async def _extend(self) -> None:
        while True:
            await anyio.sleep(self._work.ack_wait / 3)
            for letter in list(self._taken.values()):
                await self._work.extend(letter)

    async def _sweep(self) -> None:
        while True:
            try:
                await self._work.sweep()
                await self._dead.sweep()
            except (DeliveryError, APIError) as error:
                logger.warning("NATS: what unfinished items left behind was not looked for: %s", error)
            await anyio.sleep(_SWEEP)
