"""How foreign threads tell the event loop what has completed: which slots of an inference queue, or a piece of other work."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

MOST_BITS = 63
"""Slots that fit into the counter of an eventfd, one bit each; 2⁶⁴ - 1 is not a value that it takes."""


class Completions(Protocol):
    """Carries the numbers of completed slots from any thread to the event loop.

    A slot must not be reported again before the loop has seen it.
    """

    def teller(self, slot: int) -> tuple[Callable[[Any], None], Any]:
        """Return a new function and its argument; calling it, from any thread, reports the slot. It never raises."""

    def close(self) -> None:
        """Stop listening; no thread may report any more. In the loop's thread, or once the loop is closed."""


def listen(loop: asyncio.AbstractEventLoop, slots: int, settle: Callable[[int], None]) -> Completions:
    """Have ``settle`` called on the loop with each slot that is reported, in the cheapest way that there is."""
    if slots <= MOST_BITS and hasattr(os, "eventfd"):
        try:
            return EventFd(loop, settle)
        except NotImplementedError:  # the loop does not watch file descriptors
            pass
    return Threadsafe(loop, settle)


class EventFd:
    """A bit for every slot in the counter of an eventfd: one system call reports a slot, one reads several.

    What is called in the foreign thread is C from end to end, so it holds the interpreter's lock for a moment only
    (Linux, ``man 2 eventfd``).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settle: Callable[[int], None]) -> None:
        self._loop = loop
        self._settle = settle
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            loop.add_reader(self._fd, self._hear)
        except BaseException:
            os.close(self._fd)
            raise

    def teller(self, slot: int) -> tuple[Callable[[Any], None], Any]:
        """Return a new function and its argument; calling it reports the slot."""
        return partial(os.eventfd_write, self._fd), 1 << slot

    def close(self) -> None:
        """Stop listening."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _hear(self) -> None:
        bits = os.eventfd_read(self._fd)
        while bits:
            slot = bits.bit_length() - 1
            bits ^= 1 << slot
            self._settle(slot)


class Threadsafe:
    """What works with every event loop and any number of slots."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settle: Callable[[int], None]) -> None:
        self._loop = loop
        self._settle = settle
        self._told: deque[int] = deque()
        self._woken = False

    def teller(self, slot: int) -> tuple[Callable[[Any], None], Any]:
        """Return a new function and its argument; calling it reports the slot."""

        def tell(slot: int) -> None:  # pragma: no cover  # in OpenVINO's threads coverage sees nothing
            self._told.append(slot)
            if not self._woken:
                self._woken = True
                try:
                    self._loop.call_soon_threadsafe(self._hear)
                except RuntimeError:
                    return  # the loop is closed: nobody is left to hear it

        return tell, slot

    def close(self) -> None:
        """Hold nothing that needs closing."""

    def _hear(self) -> None:
        # Cleared before the deque is emptied: who tells after that wakes the loop again.
        self._woken = False
        while self._told:
            self._settle(self._told.popleft())
