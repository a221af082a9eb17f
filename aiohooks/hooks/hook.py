"""A hook: when a prediction is like this, do that."""

import math
from typing import Any, Literal

import msgspec

from aiohooks.errors import SpecError
from aiohooks.hooks.rate import Rate

Overflow = Literal["block", "drop_newest", "drop_oldest"]
"""What happens when more events wait than may."""


class PostInferenceHook(msgspec.Struct, frozen=True, kw_only=True):
    """Runs an action on the frames that a trigger picks.

    Attributes:
        trigger: a built-in trigger, or any ``async def trigger(frame, prediction) -> bool | float``; a float
            fires above 0.5.
        action: a built-in action, any coroutine function ``action(event)``, or any async generator function of
            it, whose values come back through ``outcomes()``.
        name: how outcomes and logs call it; by default made from trigger and action.
        max_concurrency: actions that run at once, at least 1.
        max_pending: events that wait for the action, at least 1; as many frames may wait for an asynchronous trigger.
        max_pending_bytes: bytes of pixels and encoded pictures that may wait, above 0; one event always may.
        overflow: with ``block`` nothing is lost and inference waits while the queue is full; ``drop_newest`` and
            ``drop_oldest`` never make it wait, and count what they drop.
        rate: how often the action may run; what is over it is dropped and counted.
        timeout: seconds after which a trigger or an action is given up; None waits for ever.

    Raises:
        SpecError: a value is out of its range.
    """

    trigger: Any
    action: Any
    name: str = ""
    max_concurrency: int = 5
    max_pending: int = 64
    max_pending_bytes: int = 256 * 1024 * 1024
    overflow: Overflow = "block"
    rate: Rate | None = None
    timeout: float | None = 60.0

    def __post_init__(self) -> None:
        for field in ("trigger", "action"):
            value = getattr(self, field)
            if not callable(value):
                raise SpecError(f"hook: {field} must be callable, got {type(value).__name__}: {value!r}")
            if isinstance(value, type):
                raise SpecError(f"hook: {field} is the class {value.__name__}; make one of it: {value.__name__}(…)")
        for field in ("max_concurrency", "max_pending", "max_pending_bytes"):
            if getattr(self, field) < 1:
                raise SpecError(f"hook: {field} must be at least 1, got {getattr(self, field)}")
        if self.overflow not in ("block", "drop_newest", "drop_oldest"):
            raise SpecError(f"hook: overflow must be block, drop_newest or drop_oldest, got {self.overflow!r}")
        if self.timeout is not None and not (math.isfinite(self.timeout) and self.timeout > 0):
            raise SpecError(f"hook: timeout must be a number of seconds above 0 or None, got {self.timeout}")

    @property
    def title(self) -> str:
        """Its name, or one made from trigger and action."""
        return self.name or f"{name_of(self.trigger)} → {name_of(self.action)}"


def name_of(function: object) -> str:
    """Name of a trigger or action for people: its own, or that of its class."""
    return getattr(function, "__name__", None) or type(function).__name__
