"""How a foreign thread wakes the event loop."""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol


class WakeUp(Protocol):
    """Calls a function on the event loop, soon after any thread has called this."""

    def __call__(self) -> None:
        """Wake the loop; several calls before the loop has come round may count as one.

        Raises:
            RuntimeError: the loop is closed; not every way to wake it can tell.
        """

    def close(self) -> None:
        """Release what it holds; no thread may call it any more. From the loop's thread, or once the loop is closed."""


def wake_up(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> WakeUp:
    """Return the cheapest way to have ``callback`` called on the loop."""
    if hasattr(os, "eventfd"):
        try:
            return _EventFd(loop, callback)
        except NotImplementedError:  # this loop does not watch file descriptors
            pass
    return _Threadsafe(loop, callback)


class _EventFd:
    """One system call to write, one to read: `loop.call_soon_threadsafe` sends through a pair of sockets.

    Linux, `man 2 eventfd`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            loop.add_reader(self._fd, self._on_readable)
        except BaseException:
            os.close(self._fd)
            raise

    def __call__(self) -> None:
        os.eventfd_write(self._fd, 1)

    def _on_readable(self) -> None:
        os.eventfd_read(self._fd)
        self._callback()

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)


class _Threadsafe:
    """What every event loop can do."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self._callback)

    def close(self) -> None:
        """Hold nothing."""
