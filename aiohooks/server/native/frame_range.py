"""Which frames of a video a request asks for."""

from collections.abc import Mapping
from typing import Any

from aiohooks.errors import SpecError


def frame_range(query: Mapping[str, str]) -> dict[str, Any]:
    """Return arguments of `sources.video` from ``start``, ``end``, ``stride`` and ``backwards`` of a query.

    Raises:
        SpecError: one is not what it should be.
    """
    start, stride = _number(query, "start", 0, lowest=0), _number(query, "stride", 1, lowest=1)
    end = _number(query, "end", None, lowest=1)
    if end is not None and end <= (start or 0):
        raise SpecError(f"end: {end} must be greater than start, {start}")
    backwards = query.get("backwards", "false").lower()
    if backwards not in ("true", "false", "1", "0"):
        raise SpecError("backwards: expected true or false")
    return {"start": start, "end": end, "stride": stride, "backwards": backwards in ("true", "1")}


def _number(query: Mapping[str, str], name: str, default: int | None, *, lowest: int) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text) >= lowest):
        raise SpecError(f"{name}: expected a whole number of at least {lowest}")
    return int(text)
