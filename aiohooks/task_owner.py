"""A task group that can be opened, used and closed from different tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import anyio


class StartSoon(Protocol):
    """Starts a task in a group that somebody owns."""

    def __call__(self, function: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> None:
        """Start ``function(*args)`` as a task."""


class TaskOwner:
    """One task that holds a task group on behalf of an object.

    Web frameworks set up and tear down in different tasks, which a task group forbids. The group lives in a
    task of its own here, and both ends of its life are events. It is asyncio's group, whose tasks cost a third of
    anyio's, because every action on a frame is a task. What must be cancelled by itself is put into an `anyio.CancelScope`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._ending = anyio.Event()

    async def open(self) -> None:
        """Start the owning task."""
        opened = anyio.Event()
        # The one task without a group around it: it is the group's home, awaited by aclose().
        self._task = asyncio.get_running_loop().create_task(self._own(opened), name=self._name)
        await opened.wait()

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> None:
        """Start a task in the group.

        Raises:
            RuntimeError: the owner is not open, or closes.
        """
        if self._group is None:
            raise RuntimeError(f"{self._name} is not open")
        work = function(*args)
        try:
            self._group.create_task(work)
        except RuntimeError:  # the group is being cancelled
            work.close()
            raise RuntimeError(f"{self._name} is closing") from None

    async def aclose(self) -> None:
        """Cancel what still runs in the group and wait for it; raises what a task of the group raised."""
        if self._task is None:
            return
        self._ending.set()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _own(self, opened: anyio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                opened.set()
                await self._ending.wait()
                raise _Ended  # noqa: TRY301  # the group has to see it
        except* _Ended:
            pass
        finally:
            self._group = None


class _Ended(Exception):  # noqa: N818  # it is no error
    """Has the group cancel its tasks."""
