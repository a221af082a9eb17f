"""Removing the files of items that are done with, those that end at about the same time in one go."""

import logging
from collections.abc import Callable
from pathlib import Path

import anyio

from aiohooks.delivery.entry import Entry
from aiohooks.delivery.index import Index
from aiohooks.delivery.spool_folder import SpoolFolder
from aiohooks.one_thread import OneThread
from aiohooks.task_owner import StartSoon

logger = logging.getLogger("aiohooks.delivery")

GATHER_SECONDS = 0.02
"""Seconds that a file waits for others to be removed with it, if it may wait."""


class Removal:
    """Removes files in the thread of a spool.

    Args:
        path: of the spool.
        folder: where the files are.
        index: told of what is gone.
        thread: for file work.
        has_gone: called after that.
    """

    def __init__(
        self, path: Path, folder: SpoolFolder, index: Index, thread: OneThread, has_gone: Callable[[], None]
    ) -> None:
        self._path = path
        self._folder = folder
        self._index = index
        self._thread = thread
        self._has_gone = has_gone
        self._asked: list[Entry] = []
        self._answered = anyio.Event()
        self._is_asked = anyio.Event()
        self._is_urgent = anyio.Event()
        self._refused: list[Entry] = []

    @property
    def is_behind(self) -> bool:
        """Whether there are files that could not be removed."""
        return bool(self._refused)

    def start(self, start_soon: StartSoon) -> None:
        """Begin to remove; before that, and once the task is cancelled, `finish` does."""
        start_soon(self._work)

    async def remove(self, entry: Entry, *, at_once: bool) -> None:
        """Have the file of an item removed that has left the index; if that fails it is tried again later.

        Who is cancelled does not wait for it; it is removed anyway.

        Args:
            entry: the item.
            at_once: do not wait for others to come along.
        """
        self._asked.append(entry)
        self._is_asked.set()
        if at_once:
            self._is_urgent.set()
        await self._answered.wait()

    async def try_again(self) -> None:
        """Try again what was refused."""
        refused, self._refused = self._refused, []
        await self._remove(refused)

    def finish(self) -> None:
        """Remove in this thread what is left, for the last time."""
        self._remove_all([*self._asked, *self._refused])

    def abandon(self) -> None:
        """Have nobody wait any more."""
        self._answered.set()

    async def _work(self) -> None:
        while True:
            await self._is_asked.wait()
            with anyio.move_on_after(GATHER_SECONDS):
                await self._is_urgent.wait()
            self._is_asked, self._is_urgent = anyio.Event(), anyio.Event()
            answered, self._answered = self._answered, anyio.Event()
            asked, self._asked = self._asked, []
            try:
                await self._remove(asked)
            finally:
                answered.set()

    async def _remove(self, entries: list[Entry]) -> None:
        try:
            await self._thread.run(self._remove_all, entries)
        finally:
            for entry in entries:
                if entry.place:
                    self._refused.append(entry)
                else:
                    self._index.gone(entry)
            self._has_gone()

    def _remove_all(self, entries: list[Entry]) -> None:
        for entry in entries:
            try:
                self._folder.remove(entry)
            except OSError as error:
                logger.warning("%s: an item that is done with cannot be removed yet: %s", self._path, error)
            except Exception:
                # A mistake in the code; whoever removes after this must not pay for it.
                logger.exception("%s: an item that is done with cannot be removed yet", self._path)
