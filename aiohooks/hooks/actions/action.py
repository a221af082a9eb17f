"""What an action is."""

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol, runtime_checkable

from aiohooks.hooks.event import HookEvent


@runtime_checkable
class Action(Protocol):
    """Any coroutine function or async generator function of an event.

    One that holds resources for as long as its hook runs also has ``lifespan()``: an async context manager that
    gives the function to call instead.
    """

    def __call__(self, event: HookEvent, /) -> Awaitable[object] | AsyncIterator[object]:
        """Act on the event. What it returns or yields is found in the outcomes."""
        ...
