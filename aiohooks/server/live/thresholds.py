"""The thresholds of a trigger and of the triggers that it is made of."""

from collections.abc import Iterator
from typing import Any

import msgspec

from aiohooks.errors import SpecError
from aiohooks.hooks.naming import name_of


class Threshold(msgspec.Struct, frozen=True):
    """A threshold that can be changed.

    Attributes:
        path: which, such as ``threshold`` or ``parts.1.part.threshold``.
        trigger: name of the trigger that has it.
        value: now; None: the trigger goes by something else unless it is set.
        is_whole: whether only whole numbers fit.
    """

    path: str
    trigger: str
    value: float | None
    is_whole: bool


def thresholds_of(trigger: Any) -> list[Threshold]:
    """Return the thresholds of a trigger; none of one that is a plain function."""
    return list(_found(trigger, ""))


def with_threshold(trigger: Any, path: str, value: float) -> Any:
    """Return a trigger with another threshold.

    Args:
        trigger: that has it.
        path: as `thresholds_of` tells it.
        value: which.

    Raises:
        SpecError: there is no such threshold, or the value does not fit.
    """
    known = {each.path: each for each in thresholds_of(trigger)}
    if path not in known:
        raise SpecError(f"the trigger has no threshold {path!r}; there are: {', '.join(known) or 'none'}")
    if known[path].is_whole and float(value).is_integer():
        value = int(value)
    return _replaced(trigger, path.split("."), value)


def _found(trigger: Any, prefix: str) -> Iterator[Threshold]:
    is_struct = isinstance(trigger, msgspec.Struct)
    fields = {field.name: field for field in msgspec.structs.fields(trigger)} if is_struct else {}
    if "threshold" in fields:
        value = trigger.threshold
        is_whole = isinstance(fields["threshold"].default, int)
        yield Threshold(f"{prefix}threshold", name_of(trigger), value, is_whole)
    if "part" in fields:
        yield from _found(trigger.part, f"{prefix}part.")
    if "parts" in fields:
        for index, part in enumerate(trigger.parts):
            yield from _found(part, f"{prefix}parts.{index}.")


def _replaced(trigger: Any, path: list[str], value: float) -> Any:
    match path:
        case ["threshold"]:
            rate = {"false_alarm_rate": None} if hasattr(trigger, "false_alarm_rate") else {}
            return msgspec.structs.replace(trigger, threshold=value, **rate)
        case ["part", *rest]:
            return msgspec.structs.replace(trigger, part=_replaced(trigger.part, rest, value))
        case [_, index, *rest]:
            parts = list(trigger.parts)
            parts[int(index)] = _replaced(parts[int(index)], rest, value)
            return msgspec.structs.replace(trigger, parts=tuple(parts))
        case _:
            raise SpecError(f"there is no threshold at {'.'.join(path)!r}")
