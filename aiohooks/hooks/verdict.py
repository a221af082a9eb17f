"""What a trigger says about one prediction."""

import math

import msgspec
import numpy as np

from aiohooks.errors import TriggerError

FIRES_ABOVE = 0.5
"""A trigger that returns a number fires if it is larger than this."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether a trigger fires, and why. It is true if the trigger fired.

    Attributes:
        fired: whether the action is wanted.
        score: what the trigger measured; the unit is its own (a probability, a count, 0 or 1).
        parts: for a combination, the score of each part that was evaluated, by the part's name.
    """

    fired: bool
    score: float
    parts: dict[str, float] = {}

    def __bool__(self) -> bool:
        return self.fired


def verdict_of(value: object, trigger_name: str) -> Verdict:
    """Read what a trigger returned: a verdict as it is, a bool as it is, a number fires above 0.5.

    Args:
        value: what awaiting the trigger gave.
        trigger_name: name of the trigger in the error.

    Raises:
        TriggerError: it is something else, or NaN.
    """
    if isinstance(value, Verdict):
        return value
    if isinstance(value, bool | np.bool_):
        return Verdict(bool(value), float(value))
    if isinstance(value, int | float | np.integer | np.floating):
        score = float(value)
        if not math.isnan(score):
            return Verdict(score > FIRES_ABOVE, score)
    raise TriggerError(f"trigger {trigger_name} returned {_described(value)}; it must return a bool or a float")


def _described(value: object) -> str:
    text = repr(value)
    text = text if len(text) <= 80 else f"{text[:77]}…"
    return text if value is None else f"{type(value).__name__} {text}"
