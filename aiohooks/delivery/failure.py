"""Why an attempt to deliver failed, and whether another may succeed."""

import sys
from typing import NamedTuple

from aiohooks.errors import SpecError

_SHOWN_CHARACTERS = 300


class Failure(NamedTuple):
    """A failed attempt.

    Attributes:
        reason: for people, in one line.
        may_pass: whether the same may succeed later; else it never will.
        retry_after: seconds that the sink asked to wait, 0 if it did not.
    """

    reason: str
    may_pass: bool
    retry_after: float = 0.0


def failure_of(error: BaseException) -> Failure:
    """Judge what an attempt raised.

    An error with a ``status`` (of HTTP) is judged by that, one with ``may_pass`` has said it itself: `ActionError`, `SessionError` and
    what others make like them. Of the rest, time-outs, errors of the operating system, lost connections and wrong configuration, which
    is not the item's fault, may pass; what is left, such as a ValueError, would fail again.
    """
    status = getattr(error, "status", None)
    told = getattr(error, "may_pass", None)
    if isinstance(status, int) and status > 0:
        may_pass = passes_later(status)
    elif isinstance(told, bool):
        may_pass = told
    else:
        may_pass = isinstance(error, OSError | SpecError) or _is_lost_connection(error)
    wait = getattr(error, "retry_after", None)
    return Failure(_in_one_line(error), may_pass, float(wait) if isinstance(wait, int | float) and wait > 0 else 0.0)


def passes_later(status: int) -> bool:
    """Say whether a request that was answered with this status may succeed later: 408, 425, 429 and 5xx."""
    return status in (408, 425, 429) or 500 <= status < 600


def _is_lost_connection(error: BaseException) -> bool:
    # Who raised one of aiohttp's has loaded it. Not all of them are OSErrors.
    aiohttp = sys.modules.get("aiohttp")
    return aiohttp is not None and isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError)


def _in_one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # its own __str__ is broken
        text = ""
    name = type(error).__name__
    line = f"{name}: {text}" if text else name
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:_SHOWN_CHARACTERS]
