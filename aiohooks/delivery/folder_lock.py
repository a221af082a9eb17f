"""One process owns a folder."""

import contextlib
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from aiohooks.errors import DeliveryError


class Owner(msgspec.Struct, frozen=True):
    """Who has a folder, or had it when it died.

    Attributes:
        pid: number of the process.
        host: name of its machine.
        since: when it took the folder, in UTC.
    """

    pid: int
    host: str
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (since {self.since:%Y-%m-%d %H:%M:%S} UTC)"


class FolderLock:
    """A lock that the system frees when the process ends, however it ends.

    It is an advisory lock on an open file (Linux and macOS: ``man 2 flock``; Windows: ``LockFile``), so a second owner in the
    same process is kept out too. A process that was forked while the lock was held keeps it alive.

    Args:
        path: of the file; its folder is there. The file stays, because to remove it would let two owners in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DeliveryError: somebody else has it; the message says who.
            OSError: the file cannot be opened.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            is_ours = _locked(fd)
        except BaseException:
            os.close(fd)
            raise
        if not is_ours:
            os.close(fd)
            raise DeliveryError(
                f"{self._path.parent}: it is in use by {read_owner(self._path) or 'another process'}, and a spool has one "
                f"owner at a time; close it there, or give this one a folder of its own"
            )
        with contextlib.suppress(OSError):  # a full disk: nobody can read who has it, but it is had
            os.ftruncate(fd, 0)
            os.write(fd, msgspec.json.encode(Owner(os.getpid(), socket.gethostname(), datetime.now(UTC))))
        self._fd = fd

    def release(self) -> None:
        """Free the lock, if it is held."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def read_owner(path: Path) -> Owner | None:
    """Return who has the lock, or died while having it; None if the file does not say."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _locked(fd: int) -> bool:
        # Far behind the text, because what is locked there cannot be read by others.
        os.lseek(fd, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(fd, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _locked(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
