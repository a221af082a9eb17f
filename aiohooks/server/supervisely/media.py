"""Pictures and videos that a server has itself, by id: files of folders that its operator names."""

import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread

from aiohooks.errors import SpecError
from aiohooks.server.refusal import Refusal
from aiohooks.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES

MAX_FILES = 1_000_000
"""In all folders together."""

RESCAN_SECONDS = 1.0
"""Folders are not looked through for an unknown id more often than this."""

_ID_BYTES = 6  # all ids are whole numbers that JSON readers with floats keep


class Medium(NamedTuple):
    """A file that has an id.

    Attributes:
        id: by which clients ask for it.
        name: its path below its folder, with ``/``.
        path: of the file.
        is_video: whether it is a video, else a picture.
    """

    id: int
    name: str
    path: Path
    is_video: bool


MediaSources = Mapping[int, str | os.PathLike[str]] | Iterable[str | os.PathLike[str]] | str | os.PathLike[str]
"""Files by ids of your own, or folders whose files get an id each."""


class Media:
    """Finds files by their ids.

    The id of a file in a folder follows from its path below it, so that it stays the same when files come and go or the folder
    moves. Files outside the folders, which links in them lead to, are not served.

    Args:
        sources: a folder, several, or a mapping from ids to files.

    Raises:
        SpecError: an id is no whole number from 0 on, or a folder is none.
    """

    def __init__(self, sources: MediaSources = ()) -> None:
        self._given: dict[int, Medium] = {}
        self._folders: list[Path] = []
        self._found: dict[int, Medium] = {}
        self._scanned: float | None = None
        self._scanning = anyio.Lock()
        if isinstance(sources, Mapping):
            for identity, file in sources.items():
                if not isinstance(identity, int) or isinstance(identity, bool) or identity < 0:
                    raise SpecError(f"media: expected whole numbers as ids, got {identity!r}")
                path = Path(file)
                self._given[identity] = Medium(identity, path.name, path, path.suffix.lower() in VIDEO_SUFFIXES)
            return
        for folder in [sources] if isinstance(sources, str | os.PathLike) else sources:
            if not Path(folder).is_dir():
                raise SpecError(f"media: {os.fspath(folder)} is not a folder")
            self._folders.append(Path(folder).resolve())

    async def picture(self, identity: int) -> Medium:
        """Return a picture.

        Raises:
            Refusal: 404, there is none of this id.
        """
        return await self._find(identity, is_video=False)

    async def video(self, identity: int) -> Medium:
        """Return a video.

        Raises:
            Refusal: 404, there is none of this id.
        """
        return await self._find(identity, is_video=True)

    async def all(self) -> list[Medium]:
        """Return all that there are now, by name."""
        await self._scan(anyio.current_time())
        there = [*self._given.values(), *self._found.values()]
        return await anyio.to_thread.run_sync(lambda: sorted(there, key=lambda medium: medium.name))

    async def _find(self, identity: int, *, is_video: bool) -> Medium:
        medium = await self._look_up(identity)
        now = anyio.current_time()
        if medium is None and self._folders and (self._scanned is None or now - self._scanned >= RESCAN_SECONDS):
            await self._scan(now)
            medium = await self._look_up(identity)
        if medium is None or medium.is_video != is_video:
            raise Refusal(404, f"there is no {'video' if is_video else 'picture'} of id {identity} here")
        return medium

    async def _look_up(self, identity: int) -> Medium | None:
        medium = self._given.get(identity) or self._found.get(identity)
        return medium if medium is not None and await anyio.to_thread.run_sync(medium.path.is_file) else None

    async def _scan(self, now: float) -> None:
        async with self._scanning:
            if self._scanned is None or self._scanned < now:
                self._found = await anyio.to_thread.run_sync(_files, self._folders)
                self._scanned = anyio.current_time()


def id_of(name: str) -> int:
    """Return the id of the file with this path below its folder, written with ``/``: a whole number below 2^48."""
    return int.from_bytes(blake2b(name.encode(errors="surrogateescape"), digest_size=_ID_BYTES).digest(), "big")


def _files(folders: list[Path]) -> dict[int, Medium]:
    found: dict[int, Medium] = {}
    for folder in folders:
        for root, names, files in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for file in sorted(files):
                path = Path(root, file)
                suffix = path.suffix.lower()
                if suffix not in PICTURE_SUFFIXES and suffix not in VIDEO_SUFFIXES:
                    continue
                if file.startswith(".") or not path.resolve().is_relative_to(folder):
                    continue
                name = path.relative_to(folder).as_posix()
                found.setdefault(id_of(name), Medium(id_of(name), name, path, suffix in VIDEO_SUFFIXES))
                if len(found) >= MAX_FILES:
                    return found
    return found
