"""The store that a `Spool` describes, while it is open."""

import logging
import math
import time
from collections.abc import AsyncIterator, Collection
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import anyio
import anyio.lowlevel

from aiohooks.delivery.admission import RETRY_SECONDS, Admission
from aiohooks.delivery.durable_file import make_folder
from aiohooks.delivery.entry import Entry
from aiohooks.delivery.folder_lock import FolderLock
from aiohooks.delivery.index import Index
from aiohooks.delivery.item import Item, Lease, Status
from aiohooks.delivery.layout import LOCK, READY, is_free, is_spool, stranger
from aiohooks.delivery.lease import SpoolLease, settle
from aiohooks.delivery.policies import Fsync, Full
from aiohooks.delivery.recent import Recent
from aiohooks.delivery.record import CorruptRecordError, record_bytes
from aiohooks.delivery.recovery import recover
from aiohooks.delivery.removal import Removal
from aiohooks.delivery.spool_folder import LostItemError, Reason, SpoolFolder
from aiohooks.delivery.summary import Summary
from aiohooks.errors import DeliveryError
from aiohooks.one_thread import OneThread
from aiohooks.task_owner import TaskOwner

logger = logging.getLogger("aiohooks.delivery")

HOUSEKEEPING_SECONDS = 1.0
"""Seconds between two times that files are forced to the disk and the counts are written, while there is something to do."""

_FILES_AT_ONCE = 8
"""Files that are forced to the disk before other work has its turn."""


class StoredItem(NamedTuple):
    """An item as it is on disk.

    Attributes:
        number: in the order of acceptance.
        item: the item.
        dead: why it was given up; None if it was not.
    """

    number: int
    item: Item
    dead: Reason | None


class OpenSpool:
    """Holds items in a folder until they are delivered. It is open within ``async with``, from any task.

    All file work is done in one thread, one piece after the other; all decisions are made on the event loop.

    Args:
        path: of the folder.
        fsync: when to force items to the disk.
        max_bytes: bytes of all files.
        max_items: items, dead ones too.
        full: what to do without room.
        max_attempts: of a process, to survive an item; None for any number.
    """

    def __init__(
        self, path: Path, *, fsync: Fsync, max_bytes: int, max_items: int, full: Full, max_attempts: int | None
    ) -> None:
        self._path = path
        self._fsync = fsync
        self._max_attempts = max_attempts
        self._lock = FolderLock(path / LOCK)
        self._folder = SpoolFolder(path, fsync)
        self._index = Index(max_items, max_bytes)
        self._summary = Summary()
        self._next_number = 0
        self._recent = Recent()
        self._thread = OneThread("aiohooks spool")
        self._admission = Admission(
            path, self._folder, self._index, self._summary, self._thread,
            max_bytes=max_bytes, full=full, discard=self._discard, check_open=self._check_open,
        )  # fmt: skip
        self._removal = Removal(path, self._folder, self._index, self._thread, self._admission.has_room)
        self._tasks = TaskOwner(f"the spool in {path}")
        self._putting = anyio.Lock(fast_acquire=True)
        self._reviving = anyio.Lock(fast_acquire=True)
        self._turned = anyio.Event()
        self._has_work = anyio.Event()
        self._is_open = False
        self._was_open = False

    async def __aenter__(self) -> Self:
        """Take the folder and find what is in it.

        Raises:
            DeliveryError: another process has the folder, it cannot be used, or this was open before.
        """
        if self._was_open:
            raise DeliveryError(f"{self._path}: this was open before; ask the Spool for another: spool.open()")
        self._was_open = True
        try:
            await self._thread.run(self._take_folder)
            await self._tasks.open()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._tasks.aclose()
                await self._thread.aclose()
            self._lock.release()
            raise
        self._is_open = True
        self._tasks.start_soon(self._keep_house)
        self._removal.start(self._tasks.start_soon)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the folder in order: leased items are ready again."""
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the folder in order; whoever waits for an item or for room gets a `DeliveryError`."""
        if not self._is_open:
            return
        self._is_open = False
        self._has_turned()
        self._admission.has_room()
        with anyio.CancelScope(shield=True):
            try:
                await self._tasks.aclose()
                self._removal.abandon()
                async with self._putting:
                    held = [*self._index.waiting(), *self._index.dead_ones()]
                    await self._thread.run(self._leave_folder, held)
            finally:
                await self._thread.aclose()
                self._lock.release()

    async def put(self, item: Item) -> bool:
        """Accept an item: once this returns True, it is delivered or becomes a dead letter, whatever happens.

        Returns:
            False if there is no room, here or on the disk, and it was dropped and counted.

        Raises:
            DeliveryError: there is no room, and the spool raises then; the item can never fit; or the spool is closed.
        """
        self._check_open()
        nbytes = record_bytes(item)
        async with self._putting:
            self._check_open()
            entry = Entry(self._next_number, nbytes, item.accepted_at, source=item.source)
            self._next_number += 1
            accepted = False
            try:
                accepted = await self._admission.written(entry, item)
            finally:
                if accepted:
                    self._index.add(entry)
                    self._recent.keep(entry, item)
                    self._summary.accepted += 1
                    self._has_turned()
                elif entry.place:
                    # Cancelled just after it was written, or not forced to the disk.
                    self._index.add(entry)
                    with anyio.CancelScope(shield=True):
                        await self._discard(entry)
                self._has_work.set()
            return accepted

    async def lease(self, *, in_order: bool = False) -> SpoolLease:
        """Wait for an item that is ready and lease it: first those that were put off less often, of these the oldest.

        Args:
            in_order: pass over the sources of which an item is leased, until that is settled, or cannot be read now.

        Raises:
            DeliveryError: the spool is closed.
        """
        while True:
            self._check_open()
            entry = self._index.take(anyio.current_time(), in_order=in_order)
            if entry is None:
                await self._wait_for_turn()
            elif (item := await self._loaded(entry)) is not None:
                self._check_open()
                entry.attempts += 1
                return SpoolLease(item, entry.crashes + entry.attempts, entry, in_order=in_order)

    async def ack(self, lease: Lease) -> None:
        """Report that an item was delivered: it is removed.

        Raises:
            DeliveryError: the lease was settled before, or the spool is closed: then the item is delivered again.
        """
        self._check_open()
        entry = settle(lease)
        self._summary.delivered += 1
        await self._discard(entry, at_leisure=not (isinstance(lease, SpoolLease) and lease.in_order))

    async def nack(self, lease: Lease, *, delay: float, reason: str) -> None:
        """Report that an item was not delivered: it comes back after ``delay`` seconds, or with the next start.

        Raises:
            DeliveryError: the lease was settled before, or the spool is closed: then the item comes back anyway.
            ValueError: the delay is negative or not a number.
        """
        if not 0 <= delay < math.inf:
            raise ValueError(f"expected a delay of 0 or more seconds, got {delay!r}")
        self._check_open()
        entry = settle(lease)
        logger.debug("%s: item %s comes back in %.3g s: %s", self._path, lease.item.key, delay, reason)
        try:
            if self._is_noted:
                await self._thread.run(self._folder.release, entry)
        finally:
            self._recent.keep(entry, lease.item)
            if delay:
                self._index.delay(entry, anyio.current_time() + delay)
            else:
                self._index.give_back(entry)
            self._has_turned()
            if self._is_noted and self._fsync == "interval":
                self._has_work.set()

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Give an item up: it becomes a dead letter with this reason.

        Raises:
            DeliveryError: the lease was settled before, or the spool is closed: then the item comes back.
        """
        self._check_open()
        entry = settle(lease)
        try:
            await self._thread.run(self._folder.bury, entry, Reason(reason, lease.attempt, time.time()))
        except OSError as error:
            logger.warning(
                "%s: a dead letter cannot be moved, and is tried again after a restart: %s", self._path, error
            )
        finally:
            self._index.bury(entry)
            self._has_turned()
            self._has_work.set()

    async def status(self) -> Status:
        """Say what the spool holds, and what became of the rest since its folder was made."""
        oldest = self._index.oldest
        return Status(
            ready=self._index.ready,
            leased=self._index.leased,
            delayed=self._index.delayed,
            dead=self._index.dead,
            nbytes=self._index.nbytes,
            oldest_seconds=None if oldest is None else max(0.0, time.time() - oldest.accepted_at),
            accepted=self._summary.accepted,
            delivered=self._summary.delivered,
            lost=dict(self._summary.lost),
            filled=self._index.filled,
        )

    async def items(self, *, dead_only: bool = False) -> AsyncIterator[StoredItem]:
        """Yield the items, or only the dead letters, in their order, one at a time in memory; broken ones are left out.

        Raises:
            DeliveryError: the spool is closed, or a file cannot be read.
        """
        waiting = [] if dead_only else list(self._index.waiting())
        for entry in sorted([*waiting, *self._index.dead_ones()], key=attrgetter("number")):
            self._check_open()
            try:
                item, reason = await self._thread.run(self._folder.read, entry)
            except (FileNotFoundError, CorruptRecordError):
                continue  # it went meanwhile; or who leases it finds that out, and counts it
            except OSError as error:
                raise DeliveryError(f"{self._path}: an item cannot be read: {error}") from error
            yield StoredItem(entry.number, item, reason)

    async def replay(self, keys: Collection[str] | None = None) -> int:
        """Make dead letters ready again, all of them or those with these keys, and return how many.

        Raises:
            DeliveryError: the spool is closed, or a file cannot be moved.
        """
        self._check_open()
        chosen = {entry.number: entry for entry in self._index.dead_ones()}
        if keys is not None:
            chosen = {
                stored.number: chosen[stored.number]
                async for stored in self.items(dead_only=True)
                if stored.item.key in keys and stored.number in chosen
            }
        try:
            for entry in chosen.values():
                self._check_open()
                if entry.state == "dead":
                    await self._thread.run(self._folder.revive, entry)
        except OSError as error:
            raise DeliveryError(f"{self._path}: a dead letter cannot be moved: {error}") from error
        finally:
            with anyio.CancelScope(shield=True):
                async with self._reviving:
                    revived = [entry for entry in chosen.values() if entry.state == "dead" and entry.place == READY]
                    for _ in self._index.revive(revived):
                        await anyio.lowlevel.checkpoint()
            self._has_turned()
            self._has_work.set()
        return len(revived)

    async def purge(self, *, dead_only: bool = False) -> int:
        """Remove the items that are not leased, or only the dead letters, and return how many; they count as lost.

        Raises:
            DeliveryError: the spool is closed.
        """
        removed = 0
        for entry in [*([] if dead_only else self._index.waiting()), *self._index.dead_ones()]:
            self._check_open()
            if entry.state in ("ready", "delayed", "dead"):
                self._summary.lose("purged")
                removed += 1
                await self._discard(entry)
        self._check_open()
        await self._admission.clear_quarantine()
        return removed

    # What happens to an item after that.

    @property
    def _is_noted(self) -> bool:
        """Whether leases are noted on disk, which only serves to count how often a process dies while it holds one."""
        return self._max_attempts is not None

    async def _loaded(self, entry: Entry) -> Item | None:
        """Return a leased item, or None if it cannot be had now, or any more."""
        item = self._recent.pop(entry)
        try:
            if item is None:
                item = await self._thread.run(self._folder.load, entry, self._is_noted)
            elif self._is_noted:
                await self._thread.run(self._folder.note, entry)
        except LostItemError as error:
            self._summary.lose(error.reason)
            self._index.leave(entry)
            if error.reason != "missing":
                self._admission.quarantined_bytes += entry.nbytes
            self._index.gone(entry)
            self._has_turned()
            self._has_work.set()
        except OSError as error:
            logger.warning("%s: an item cannot be read now: %s", self._path, error)
            self._index.set_aside(entry, anyio.current_time() + RETRY_SECONDS)
            self._has_turned()
        except BaseException:
            self._index.give_back(entry)
            self._has_turned()
            raise
        return item

    async def _discard(self, entry: Entry, *, at_leisure: bool = False) -> None:
        """Have an item's file removed; from now on nobody gets the item.

        Args:
            entry: the item.
            at_leisure: let it wait for others, if there are some in hand.
        """
        self._index.leave(entry)
        self._recent.pop(entry)
        if self._index.passes_over:
            self._has_turned()
        self._has_work.set()
        await self._removal.remove(entry, at_once=not (at_leisure and self._index.leased))

    def _has_turned(self) -> None:
        """Wake who waits for an item."""
        self._turned.set()
        if self._is_open:
            self._turned = anyio.Event()

    async def _wait_for_turn(self) -> None:
        due = self._index.next_due
        with anyio.move_on_after(None if due is None else max(0.0, due - anyio.current_time())):
            await self._turned.wait()

    # The folder.

    def _take_folder(self) -> None:
        try:
            if not is_spool(self._path) and not is_free(self._path):
                raise DeliveryError(
                    f"{self._path}: it holds something else{stranger(self._path)}; give the spool a folder of its own, or a new one"
                )
            make_folder(self._path, force=self._fsync != "never")
            self._lock.acquire()
            found = recover(self._folder, self._max_attempts)
        except OSError as error:
            raise DeliveryError(f"{self._path}: it cannot be used as a spool: {error}") from error
        for entry in found.waiting:
            self._index.add(entry)
        for entry in found.dead:
            self._index.add_dead(entry)
        self._summary.take_over(found.summary)
        self._next_number = found.next_number
        self._admission.quarantined_bytes = found.quarantined_bytes
        self._write_summary(found.summary.encode())

    def _leave_folder(self, held: list[Entry]) -> None:
        for entry in held:
            self._folder.release(entry)
        self._removal.finish()
        if self._fsync == "interval":
            while self._folder.force(_FILES_AT_ONCE):
                pass
        self._write_summary(self._summary.encode())

    async def _keep_house(self) -> None:
        while True:
            await self._has_work.wait()
            await anyio.sleep(HOUSEKEEPING_SECONDS)
            self._has_work = anyio.Event()
            try:
                await self._tidy_up()
            except Exception:
                logger.exception("%s: some housekeeping failed", self._path)
            if self._removal.is_behind:
                self._has_work.set()

    async def _tidy_up(self) -> None:
        if self._fsync == "interval":
            while await self._thread.run(self._folder.force, _FILES_AT_ONCE):
                pass
        await self._thread.run(self._write_summary, self._summary.encode())
        if self._removal.is_behind:
            await self._removal.try_again()

    def _write_summary(self, data: bytes) -> None:
        try:
            self._folder.write_summary(data)
        except OSError as error:
            logger.warning("%s: the counts cannot be kept: %s", self._path, error)

    def _check_open(self) -> None:
        if not self._is_open:
            raise DeliveryError(f"{self._path}: the spool is not open")
