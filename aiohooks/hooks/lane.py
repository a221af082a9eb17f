"""Asynchronous work under a cap, with a bounded backlog in front of it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Generic, TypeVar

import anyio

from aiohooks.hooks.backlog import Backlog
from aiohooks.hooks.hook import Overflow
from aiohooks.task_owner import StartSoon

T = TypeVar("T")


class Lane(Generic[T]):
    """Runs ``work`` on items, ``concurrency`` at once; the others wait in a backlog.

    Every item that is put comes out in exactly one way: through ``work``, which is cancelled when the lane is
    abandoned, or through ``drop``.

    Args:
        work: what to do with an item; it handles its own exceptions.
        drop: told of an item that was not worked on, and whether the lane was abandoned (else: it was full).
        concurrency: tasks at once.
        backlog: where items wait.
        overflow: what to do when the backlog is full.
        start_soon: starts the tasks.
    """

    def __init__(
        self,
        work: Callable[[T], Awaitable[None]],
        drop: Callable[[T, bool], None],
        *,
        concurrency: int,
        backlog: Backlog[tuple[T, Context]],
        overflow: Overflow,
        start_soon: StartSoon,
    ) -> None:
        self._work = work
        self._drop = drop
        self._concurrency = concurrency
        self._backlog = backlog
        self._overflow = overflow
        self._start_soon = start_soon
        self._running: set[anyio.CancelScope] = set()
        self._blocked: deque[_Turn] = deque()
        self._abandoned = False
        self._quiet = anyio.Event()

    @property
    def pending(self) -> int:
        """Items that wait."""
        return len(self._backlog)

    async def put(self, item: T, nbytes: int) -> None:
        """Hand in an item; waits only while the backlog is full and the policy is to block."""
        if self._overflow == "block":
            if not await self._wait_for_room(item, nbytes):
                return
        elif self._abandoned:
            self._drop(item, True)
            return
        elif self._overflow == "drop_newest":
            if not self._backlog.fits(nbytes):
                self._drop(item, False)
                return
        else:
            while not self._backlog.fits(nbytes):
                self._drop(self._backlog.pop()[0], False)
        # A task is started by whoever makes room for it; its context is that of the caller.
        self._backlog.put((item, copy_context()), nbytes)
        self._start_waiting()

    async def drained(self) -> None:
        """Wait until nothing runs, waits or is blocked."""
        while self._is_busy():
            if self._quiet.is_set():
                self._quiet = anyio.Event()
            await self._quiet.wait()

    def abandon(self) -> None:
        """Drop what waits and cancel what runs; what is put later is dropped."""
        self._abandoned = True
        while self._backlog:
            self._drop(self._backlog.pop()[0], True)
        for scope in self._running:
            scope.cancel()
        for turn in self._blocked:
            turn.called.set()
        self._announce()

    async def _wait_for_room(self, item: T, nbytes: int) -> bool:
        """Wait in line until the item fits; it is dropped if that is cancelled or the lane is abandoned."""
        turn = _Turn()
        self._blocked.append(turn)
        fits = False
        try:
            while not (fits or self._abandoned):
                fits = self._blocked[0] is turn and self._backlog.fits(nbytes)
                if not fits:
                    turn.called = anyio.Event()
                    await turn.called.wait()
        finally:
            self._blocked.remove(turn)
            if not fits:
                self._drop(item, True)
            self._announce()
        return fits

    def _start_waiting(self) -> None:
        while self._backlog and len(self._running) < self._concurrency:
            scope = anyio.CancelScope()
            self._running.add(scope)
            item, context = self._backlog.pop()
            context.run(self._start_soon, self._run, scope, item)

    async def _run(self, scope: anyio.CancelScope, item: T) -> None:
        try:
            with scope:
                await self._work(item)
        except asyncio.CancelledError:  # noqa: ASYNC103  # see below
            # Somebody cancelled the work on this item alone. The task ends here either way; passing it on
            # would make its group cancel everything else.
            return  # noqa: ASYNC104
        finally:
            self._running.discard(scope)
            self._start_waiting()
            self._announce()

    def _announce(self) -> None:
        """Wake the first that waits for room, and those who wait for the end if this is it."""
        if self._blocked:
            self._blocked[0].called.set()
        if not self._is_busy():
            self._quiet.set()

    def _is_busy(self) -> bool:
        return bool(self._running or self._backlog or self._blocked)


class _Turn:
    """A place in the line of those who wait for room."""

    __slots__ = ("called",)

    def __init__(self) -> None:
        self.called = anyio.Event()
