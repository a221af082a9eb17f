"""How often something may happen: a hook act, or a delivery be attempted."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from aiohooks.errors import SpecError
from aiohooks.fields import check_fields

NANOSECONDS = 1_000_000_000

AtLeastOne = Annotated[int, Meta(ge=1)]


class Rate(msgspec.Struct, frozen=True):
    """At most ``count`` events per ``per`` seconds, evenly spaced, with up to ``burst`` at once.

    Any ``k + burst`` accepted events span at least ``k * per / count`` seconds. Sources whose frames come with
    jitter want ``burst=2``: with 1, a frame that comes a moment early is lost and its turn with it.

    Attributes:
        count: events per period, at least 1.
        per: length of the period in seconds, above 0.
        burst: events that may come at once after a pause, at least 1.

    Raises:
        SpecError: a value is out of its range.
    """

    count: AtLeastOne
    per: Annotated[float, Meta(gt=0)] = 1.0
    burst: AtLeastOne = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if not math.isfinite(self.per):
            raise SpecError("Rate.per: it must be finite")


class RateLimiter:
    """The generic cell rate algorithm in integer nanoseconds (ITU-T I.371); refused attempts cost nothing.

    Args:
        rate: what to allow.
    """

    def __init__(self, rate: Rate) -> None:
        self._interval = math.ceil(rate.per * NANOSECONDS / rate.count)
        self._tolerance = (rate.burst - 1) * self._interval
        self._due: int | None = None  # theoretical arrival time of the next event

    def allows(self, now: int) -> bool:
        """Say whether an event may pass now, and take its place if so.

        Args:
            now: monotonic time in nanoseconds, never less than in an earlier call.
        """
        if self.wait(now):
            return False
        self._due = (now if self._due is None else max(now, self._due)) + self._interval
        return True

    def wait(self, now: int) -> int:
        """Return the nanoseconds until an event may pass; it takes no place.

        Args:
            now: monotonic time in nanoseconds, never less than in an earlier call.
        """
        return 0 if self._due is None else max(0, self._due - now - self._tolerance)


def nanoseconds(seconds: float) -> int:
    """Turn a reading of a clock into integer nanoseconds."""
    return round(seconds * NANOSECONDS)
