"""Frames from picture files, encoded bytes and arrays."""

import os
import re
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.convert import Picture, to_frame
from aiohooks.sources.read_ahead import ReadAhead
from aiohooks.sources.source import MAX_PIXELS, FrameSource

PICTURE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Suffixes of the files that `folder` takes for pictures, in lower case."""

DECODERS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Pictures decoded at once, if the read-ahead allows: the model and the event loop keep the other cores."""


def images(
    *pictures: Picture | list[Picture] | tuple[Picture, ...], max_pixels: int = MAX_PIXELS, read_ahead: int = 4
) -> FrameSource:
    """Return pictures as a source of frames, decoded in worker threads.

    Args:
        pictures: paths, encoded bytes, RGB uint8 arrays or frames, or lists or tuples of them.
        max_pixels: refuse an encoded picture whose header announces more pixels.
        read_ahead: pictures decoded before they are asked for.

    Raises:
        FrameError: in place of a picture that cannot be read; the next frame follows.
    """
    entries: list[_Entry] = []
    for picture in pictures:
        entries += map(_Entry, picture if isinstance(picture, (list, tuple)) else [picture])
    return FrameSource(
        f"{len(entries)} pictures",
        lambda _: ReadAhead(_PictureReader(lambda: entries, max_pixels), ahead=read_ahead, workers=DECODERS),
        total=len(entries),
    )


def folder(
    path: str | os.PathLike[str],
    *,
    recursive: bool = False,
    suffixes: Collection[str] = PICTURE_SUFFIXES,
    max_pixels: int = MAX_PIXELS,
    read_ahead: int = 4,
) -> FrameSource:
    """Return the pictures of a folder as a source of frames, in natural order: ``img2`` before ``img10``.

    Hidden files and folders are left out. Frames are named by their path below the folder.

    Args:
        path: the folder; it is listed when a loop over the frames starts.
        recursive: take the pictures of its subfolders too.
        suffixes: suffixes of picture files, with the dot, in lower case.
        max_pixels: refuse a picture whose header announces more pixels.
        read_ahead: pictures decoded before they are asked for.

    Raises:
        FrameError: in place of a picture that cannot be read, and the next frame follows; in place of the first frame
            if there is no such folder or no picture in it.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise FrameError(f"folder takes the path of a folder, got {path!r}; several pictures are read by ah.images")
    root = Path(path)
    wanted = frozenset(suffixes)

    def start(source: FrameSource) -> ReadAhead:
        def entries() -> list[_Entry]:
            found = _list_folder(root, recursive, wanted)
            source.total = len(found)
            return found

        return ReadAhead(_PictureReader(entries, max_pixels), ahead=read_ahead, workers=DECODERS)

    return FrameSource(str(root), start)


class _Entry(NamedTuple):
    picture: Picture
    name: str | None = None


class _PictureReader:
    """Reads pictures by position; several threads may."""

    def __init__(self, entries: Callable[[], Sequence[_Entry]], max_pixels: int) -> None:
        self._list_entries = entries
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._entries: Sequence[_Entry] | None = None
        self._failures: list[FrameError] = []  # raised by pop(): a name for it would keep this object alive in a cycle

    def read(self, index: int) -> Frame | None:
        with self._lock:
            if self._entries is None:
                self._entries = self._list()
        if self._failures and index == 0:  # the other positions find no entries: the failure is told once
            raise self._failures.pop()
        if index >= len(self._entries):
            return None
        picture, name = self._entries[index]
        return to_frame(picture, index, name=name, max_pixels=self._max_pixels)

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def _list(self) -> Sequence[_Entry]:
        try:
            return self._list_entries()
        except FrameError as error:
            self._failures.append(error)
            return ()


def _list_folder(root: Path, recursive: bool, suffixes: Collection[str]) -> list[_Entry]:
    def fail(error: OSError) -> None:
        raise FrameError(f"folder {error.filename}: cannot be listed: {error.strerror}") from error

    found: list[str] = []
    for parent, subfolders, files in os.walk(root, onerror=fail):
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]
        found += [
            (Path(parent) / name).relative_to(root).as_posix()
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    if not found:
        where = (
            "in it or below"
            if recursive
            else "in it (recursive=True, on the command line --recursive, looks into its subfolders too)"
        )
        raise FrameError(f"folder {root}: no picture {where}; looked for {', '.join(sorted(suffixes))}")
    return [_Entry(root / name, name) for name in sorted(found, key=_natural)]


def _natural(name: str) -> tuple[list[list[str | int]], str]:
    """Return a key that sorts numbers by their value, folder by folder."""
    parts = [
        [
            int(piece) if piece.isascii() and piece.isdecimal() else piece
            for piece in re.split(r"([0-9]+)", part.casefold())
        ]
        for part in name.split("/")
    ]
    return parts, name
