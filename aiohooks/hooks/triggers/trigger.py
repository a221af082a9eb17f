"""What a trigger is, and how to ask one."""

import inspect
from collections.abc import Awaitable
from typing import Protocol, runtime_checkable

from aiohooks.errors import TriggerError
from aiohooks.frame import Frame
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.verdict import Verdict, verdict_of
from aiohooks.prediction import Prediction


@runtime_checkable
class Trigger(Protocol):
    """Any ``async def trigger(frame, prediction) -> bool | float``; a float fires above 0.5.

    One that can answer without waiting also has ``evaluate(frame, prediction) -> Verdict``.
    """

    def __call__(self, frame: Frame, prediction: Prediction, /) -> Awaitable[Verdict | bool | float]:
        """Say whether, or how much, the action is wanted for this frame."""
        ...


async def ask(trigger: Trigger, frame: Frame, prediction: Prediction) -> Verdict:
    """Return the verdict of a trigger of any kind.

    Raises:
        TriggerError: it is not asynchronous, or its answer is not a bool or a float. What the trigger itself
            raises is passed on.
    """
    answer: object = trigger(frame, prediction)
    if not inspect.isawaitable(answer):
        name = name_of(trigger)
        raise TriggerError(f"trigger {name} is not asynchronous: declare it as `async def {name}(frame, prediction)`")
    return verdict_of(await answer, name_of(trigger))


def ask_at_once(trigger: Trigger, frame: Frame, prediction: Prediction) -> Verdict | None:
    """Return the verdict of a trigger that can answer without waiting; None from one that cannot.

    Raises:
        TriggerError: its answer is not a verdict, a bool or a float.
    """
    evaluate = getattr(trigger, "evaluate", None)
    return None if evaluate is None else verdict_of(evaluate(frame, prediction), name_of(trigger))
