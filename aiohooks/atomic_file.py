"""Files that are either whole or not there."""

import contextlib
import itertools
import os
import secrets
from pathlib import Path

_unique = f"{secrets.token_hex(8)}-{{}}".format
_numbers = itertools.count()


def part_of(path: Path | str) -> str:
    """Return a path that nothing has in the folder of a file, for what is to become that file."""
    return os.path.join(os.path.dirname(path), f".{_unique(next(_numbers))}.part")


def write_atomically(path: Path | str, data: bytes, *, part: str | None = None) -> None:
    """Write a file so that a reader finds the old one or the whole new one; a failure leaves nothing behind.

    Blocks. The data is not forced to the disk: a power loss may undo the write.

    Args:
        path: of the file; its folder is there.
        data: its content.
        part: path of an empty file in the same folder, to become this one; by default one of a new name.

    Raises:
        OSError: the file cannot be written.
    """
    flags = os.O_WRONLY
    if part is None:
        part = part_of(path)
        flags |= os.O_CREAT | os.O_EXCL
    try:
        file = os.open(part, flags | getattr(os, "O_BINARY", 0), 0o666)
        try:
            written = os.write(file, data)
            while written < len(data):
                written += os.write(file, memoryview(data)[written:])
        finally:
            os.close(file)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
