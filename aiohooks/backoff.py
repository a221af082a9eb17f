"""When to ask a server again, and when not to."""

import math
from datetime import UTC, datetime
from typing import NamedTuple

RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
"""Statuses of transient failures: the server did not act on the request, or a proxy does not know whether it did."""

REFUSED_STATUSES = frozenset({429, 503})
"""Those of them with which a server says that it has not acted on the request."""


class Backoff(NamedTuple):
    """How long to wait before asking again: twice as long each time, with jitter, so that clients do not return all at once.

    Attributes:
        first: seconds before the first retry, at most.
        most: seconds before any retry, at most.
    """

    first: float = 0.1
    most: float = 15.0

    def seconds(self, retries: int, jitter: float) -> float:
        """Return the seconds to wait: between a half and all of what the number of retries so far asks for.

        Args:
            retries: how many there were, from 0.
            jitter: random, in 0–1.
        """
        # ldexp overflows where the exponent is huge; nothing beyond 2^64 times the first is told apart.
        full = min(self.most, math.ldexp(self.first, min(retries, 64)))
        return full * (1 + jitter) / 2


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait, at least 0; None if there is none that can be read.

    Args:
        value: seconds or an HTTP date (RFC 9110, 10.2.3).
        now: an aware datetime.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    from email.utils import parsedate_to_datetime  # takes some milliseconds to load

    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:  # the zone -0000
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
