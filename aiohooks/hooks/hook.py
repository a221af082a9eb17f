"""A hook: when a prediction is like this, do that."""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aiohooks.delivery.delivery import delivery_of
from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.hooks.naming import name_of
from aiohooks.rate import AtLeastOne, Rate

Overflow = Literal["block", "drop_newest", "drop_oldest"]
"""What happens to an event when the queue is full."""


class PostInferenceHook(msgspec.Struct, frozen=True, kw_only=True):
    """Runs an action on the frames that a trigger picks.

    Attributes:
        trigger: a built-in trigger, or any ``async def trigger(frame, prediction) -> bool | float``; a float
            fires above 0.5.
        action: a built-in action, any coroutine function ``action(event)``, or any async generator function of
            it, whose values come back through ``outcomes()``.
        name: its name in outcomes and logs; by default made from trigger and action.
        max_concurrency: actions that run at once, at least 1.
        max_pending: events that wait for the action, at least 1; as many frames may wait for an asynchronous trigger.
        max_pending_bytes: bytes of pixels and encoded pictures that may wait, above 0; one event always may.
        overflow: with ``block`` nothing is lost and inference waits while the queue is full; ``drop_newest`` and
            ``drop_oldest`` never make it wait, and count what they drop.
        rate: how often the action may run; what is over it is dropped and counted.
        timeout: seconds after which a trigger or an action is given up; None waits for ever.
        delivery: where events are kept until the action has delivered them, such as ``Spool("folder")``, or how:
            ``Delivery(Spool("folder"), max_concurrency=8)``. An event is then done once it is kept; the action is tried until it
            succeeds or cannot, in a later run if need be, and may see an event twice. ``timeout`` and ``max_concurrency`` of the
            hook are then those of its trigger and of keeping; the delivery has its own.

    Raises:
        SpecError: a value is out of its range.
    """

    trigger: Any
    action: Any
    name: str = ""
    max_concurrency: AtLeastOne = 5
    max_pending: AtLeastOne = 64
    max_pending_bytes: AtLeastOne = 256 * 1024 * 1024
    overflow: Overflow = "block"
    rate: Rate | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = 60.0
    delivery: Any = None

    def __post_init__(self) -> None:
        for field in ("trigger", "action"):
            value = getattr(self, field)
            if not callable(value):
                raise SpecError(f"hook: {field} must be callable, got {type(value).__name__}: {value!r}")
            if isinstance(value, type):
                raise SpecError(f"hook: {field} is the class {value.__name__}; make one of it: {value.__name__}(…)")
        check_fields(self)
        if self.delivery is not None:
            msgspec.structs.force_setattr(self, "delivery", delivery_of(self.delivery))
        if self.timeout is not None and not math.isfinite(self.timeout):
            raise SpecError("PostInferenceHook.timeout: write None to wait for ever")

    @property
    def title(self) -> str:
        """Its name, or one made from trigger and action."""
        return self.name or f"{name_of(self.trigger)} → {name_of(self.action)}"
