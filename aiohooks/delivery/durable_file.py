"""Files that are whole or not there, and on the disk before they count."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def write_durably(part: str, path: str, pieces: Sequence[bytes], *, force: bool) -> None:
    """Write a file elsewhere, force it to the disk, and rename it to where it counts; a failure leaves nothing behind.

    The folder of the path is not forced: the caller does that with `fsync_folder`.

    Args:
        part: path to write to, on the same file system; nothing else uses it.
        path: where the file appears; what is there is replaced.
        pieces: content, one after the other.
        force: whether to wait until the disk has the content.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            for piece in pieces:
                _write_all(file, piece)
            if force:
                os.fsync(file)
        finally:
            os.close(file)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def make_folder(path: Path, *, force: bool) -> None:
    """Make a folder, if it is missing, and what is missing of those that it is in.

    Args:
        path: of the folder.
        force: whether to wait until the disk has its name, and those of the others.
    """
    new = [folder for folder in (path.absolute(), *path.absolute().parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if force:
        for parent in {path.absolute().parent: None} | {folder.parent: None for folder in new}:
            fsync_folder(str(parent))


def fsync_file(path: str) -> None:
    """Force a file's content to the disk, if it is still there."""
    with contextlib.suppress(FileNotFoundError):
        file = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(file)
        finally:
            os.close(file)


def fsync_folder(path: str) -> None:
    """Force the names in a folder to the disk, where the system knows that (Windows does not)."""
    if sys.platform != "win32":
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write_all(file: int, data: bytes) -> None:
    written = os.write(file, data) if data else 0
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])
