"""From opening to closing: the states of a deployment, and the model, the tasks and the event loop that it has in between."""

import asyncio
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio

from aiohooks.deployment.frame_model import FrameModel, ModelOpener
from aiohooks.errors import DeploymentError
from aiohooks.task_owner import TaskOwner

_HOW_TO_OPEN = {
    "new": "use it in `async with`, or await open() first",
    "opening": "wait for open() to return",
    "closing": "it takes no more work",
    "closed": "load it again",
}


class LifeCycle:
    """Opens a deployment once, and closes it once, from any tasks of one event loop.

    Args:
        name: of the deployment.
        open_model: makes its model.
        on_closed: called when it has closed.

    Attributes:
        state: in which it is; opening that fails leads back to ``new``.
        tasks: holds what runs for the deployment while it is open.
    """

    def __init__(self, name: str, open_model: ModelOpener, on_closed: Callable[[], None]) -> None:
        self.state: Literal["new", "opening", "open", "closing", "closed"] = "new"
        self.tasks = TaskOwner(f"aiohooks deployment {name}")
        self._name = name
        self._open_model = open_model
        self._on_closed = on_closed
        self._model: FrameModel | None = None
        self._opened = anyio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._finalizer: weakref.finalize[Any, Any] | None = None

    @property
    def has_model(self) -> bool:
        """Whether the model is there: from the end of opening to the end of closing."""
        return self._model is not None

    @property
    def model(self) -> FrameModel:
        """The model.

        Raises:
            DeploymentError: the deployment is not open.
        """
        if self._model is None:
            raise self.not_open()
        return self._model

    @property
    def is_ending(self) -> bool:
        """Whether it closes or has closed."""
        return self.state in ("closing", "closed")

    def not_open(self) -> DeploymentError:
        """Return the error of whoever needs an open deployment in another state."""
        return DeploymentError(f"deployment {self._name} is {self.state}: {_HOW_TO_OPEN[self.state]}")

    def is_in_its_loop(self) -> bool:
        """Tell whether the caller runs in the event loop that the deployment was opened in."""
        # asyncio.get_running_loop is a system call in Python 3.11. A thread runs one loop at a time.
        return threading.get_ident() == self._thread and self._loop is not None and self._loop.is_running()

    async def open(self, accept: Callable[[FrameModel], None]) -> None:
        """Open the model and the task group.

        Args:
            accept: raises if the model does not fit what the deployment is to do with it; it is closed then.

        Raises:
            DeploymentError: it was opened before.
        """
        if self.state != "new":
            raise DeploymentError(f"deployment {self._name} is {self.state}; load it again to open it again")
        self.state = "opening"
        self._opened = anyio.Event()
        try:
            await self.tasks.open()
            model = await self._open_model()
            try:
                accept(model)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await model.aclose()
                raise
            self._model = model
            self.state = "open"
        finally:
            if self._model is None:
                with anyio.CancelScope(shield=True):
                    await self.tasks.aclose()
                self.tasks = TaskOwner(f"aiohooks deployment {self._name}")
                self.state = "new"
            self._opened.set()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._finalizer = weakref.finalize(self, _warn_unclosed, self._name)

    async def aclose(self, shut_down: Callable[[], Awaitable[None]], *, is_own_work: bool) -> None:
        """Close it, or wait until somebody else has closed it.

        Args:
            shut_down: ends what uses the model, and closes the model; called once.
            is_own_work: the caller is part of what is shut down: it must be possible to cancel it while it waits.

        Raises:
            DeploymentError: it belongs to another event loop, which still runs.
        """
        if self.state == "opening":
            await self._opened.wait()
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            await self._close_after_its_loop()
        elif self.state == "new":
            self._has_closed()
        elif self.state == "open":
            self.state = "closing"
            # In a task of its own: whoever waits for it may be cancelled, or be part of what is shut down.
            self._closing = asyncio.get_running_loop().create_task(self._close(shut_down), name=f"closing {self._name}")
        if self._closing is not None:
            with anyio.CancelScope(shield=not is_own_work):
                await asyncio.wait([self._closing])
            self._closing.result()

    async def _close(self, shut_down: Callable[[], Awaitable[None]]) -> None:
        try:
            await shut_down()
            await self.tasks.aclose()
        finally:
            self._has_closed()

    async def _close_after_its_loop(self) -> None:
        """Give back what outlives an event loop; tasks, hooks and streams have died with it."""
        if self._loop is not None and not self._loop.is_closed():
            raise DeploymentError(f"deployment {self._name} belongs to another event loop: close it there")
        if self._model is not None:
            await self._model.aclose()
        self._has_closed()

    def _has_closed(self) -> None:
        self.state = "closed"
        self._model = None
        if self._finalizer is not None:
            self._finalizer.detach()
        self._on_closed()


def _warn_unclosed(name: str) -> None:
    warnings.warn(
        f"deployment {name} was never closed; use `async with` or await aclose()", ResourceWarning, stacklevel=2
    )
