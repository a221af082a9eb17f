"""A task group that can be opened, used and closed from different tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup


class StartSoon(Protocol):
    """Starts a task in a group that somebody owns."""

    def __call__(self, function: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> None:
        """Start ``function(*args)`` as a task."""


class TaskOwner:
    """One task that holds a task group on behalf of an object.

    Web frameworks set up and tear down in different tasks, which a task group forbids. The group lives in a
    task of its own here, and both ends of its life are events.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._group: TaskGroup | None = None
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
            RuntimeError: the owner is not open.
        """
        if self._group is None:
            raise RuntimeError(f"{self._name} is not open")
        self._group.start_soon(function, *args)

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
            async with anyio.create_task_group() as group:
                self._group = group
                opened.set()
                await self._ending.wait()
                group.cancel_scope.cancel()
        finally:
            self._group = None
