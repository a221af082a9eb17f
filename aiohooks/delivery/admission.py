"""Whether and when a spool accepts an item: what happens if there is no room, in its bounds or on the disk."""

import errno
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from aiohooks.delivery.entry import Entry
from aiohooks.delivery.index import Index
from aiohooks.delivery.item import Item
from aiohooks.delivery.policies import Full
from aiohooks.delivery.spool_folder import SpoolFolder
from aiohooks.delivery.summary import Summary
from aiohooks.errors import DeliveryError
from aiohooks.one_thread import OneThread

logger = logging.getLogger("aiohooks.delivery")

RETRY_SECONDS = 1.0
"""Seconds after which a write that the disk refused is tried again, or sooner if something has made room."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Admission:
    """Writes items as soon as there is room, or does what ``full`` says if there is none.

    Args:
        path: of the spool.
        folder: for the files.
        index: knows what is there.
        summary: where losses are counted.
        thread: for file work.
        max_bytes: bytes of all files.
        full: what to do without room.
        discard: removes an item.
        check_open: raises once the spool is closed.

    Attributes:
        quarantined_bytes: of files that are not what was written; they give way to items.
    """

    def __init__(
        self,
        path: Path,
        folder: SpoolFolder,
        index: Index,
        summary: Summary,
        thread: OneThread,
        *,
        max_bytes: int,
        full: Full,
        discard: Callable[[Entry], Awaitable[None]],
        check_open: Callable[[], None],
    ) -> None:
        self.quarantined_bytes = 0
        self._path = path
        self._folder = folder
        self._index = index
        self._summary = summary
        self._thread = thread
        self._max_bytes = max_bytes
        self._full = full
        self._discard = discard
        self._check_open = check_open
        self._room = anyio.Event()

    def has_room(self) -> None:
        """Wake who waits for room."""
        self._room.set()

    async def written(self, entry: Entry, item: Item) -> bool:
        """Write an item as soon as there is room; return False if it is dropped, and counted, instead.

        Raises:
            DeliveryError: there is no room, and the spool raises then; the item can never fit; or the spool is closed.
        """
        if entry.nbytes > self._max_bytes:
            return self._never_fits(f"it takes {entry.nbytes:,} bytes, and the spool {self._max_bytes:,}")
        failures = 0
        while await self._fits(entry.nbytes):
            try:
                await self._thread.run(self._folder.store, entry, item)
            except OSError as error:
                failures += 1
                if not await self._try_again(entry, error, failures):
                    return False
            else:
                return True
        return False

    async def clear_quarantine(self) -> None:
        """Remove the files that are not what was written."""
        await self._thread.run(self._folder.clear_quarantine)
        self.quarantined_bytes = 0

    async def _fits(self, nbytes: int) -> bool:
        while not self._index.fits(nbytes + self.quarantined_bytes):
            if self.quarantined_bytes:
                await self.clear_quarantine()
            elif self._full == "block":
                await self._wait_for_room(None)
            elif self._full == "raise":
                held = f"{len(self._index):,} items of {self._index.nbytes:,} bytes, {self._index.dead:,} of them dead letters"
                raise DeliveryError(
                    f"{self._path}: the spool is full with {held}; deliver or purge some, or raise its bounds"
                )
            elif self._full == "drop_newest" or not await self._drop_oldest():
                self._summary.lose("dropped_newest")
                return False
        return True

    async def _try_again(self, entry: Entry, error: OSError, failures: int) -> bool:
        """Decide about an item that the disk refused; False if it is dropped."""
        if error.errno == errno.EFBIG:
            return self._never_fits(f"{entry.nbytes:,} bytes are more than the system writes into one file")
        if error.errno in _NO_ROOM and self.quarantined_bytes:
            await self.clear_quarantine()
            return True
        if self._full == "block":
            if failures == 1:
                logger.warning("%s: an item cannot be written, and waits until it can: %s", self._path, error)
            await self._wait_for_room(RETRY_SECONDS)
            return True
        if self._full == "raise":
            raise DeliveryError(f"{self._path}: an item cannot be written: {error}") from error
        if self._full == "drop_oldest" and error.errno in _NO_ROOM and failures == 1:
            # As much as the item takes and no more: the room may have been taken by somebody else.
            bound = self._index.nbytes - entry.nbytes
            while self._index.nbytes > bound and await self._drop_oldest():
                pass
            return True
        logger.warning("%s: an item is lost, because it cannot be written: %s", self._path, error)
        self._summary.lose("write_failed")
        return False

    def _never_fits(self, why: str) -> bool:
        if self._full in ("block", "raise"):
            raise DeliveryError(f"{self._path}: an item can never be kept: {why}")
        self._summary.lose("too_large")
        return False

    async def _drop_oldest(self) -> bool:
        """Drop one item; False if there is none, or its file cannot be removed."""
        entry = self._index.oldest_that_may_go
        if entry is None:
            return False
        self._summary.lose("dropped_dead" if entry.state == "dead" else "dropped_oldest")
        await self._discard(entry)
        return not entry.place

    async def _wait_for_room(self, seconds: float | None) -> None:
        self._check_open()
        self._room = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._room.wait()
        self._check_open()
