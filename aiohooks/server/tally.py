"""How requests ended: each is counted once."""

from collections import Counter

from aiohooks.server.refusal import CLIENT_LEFT


class Tally:
    """Counts of requests by protocol, deployment and status.

    Attributes:
        requests: the counts; the deployment is empty where a request asked for none.
        under_way: requests that have begun and not ended.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.under_way = 0

    def ended(self, protocol: str, deployment: str, status: int) -> None:
        """Count a request that ended."""
        self.requests[protocol, deployment, status] += 1


def outcome_of(status: int) -> str:
    """Return how a request ended, in one word: ``done``, ``refused``, ``overload``, ``late``, ``failed`` or ``left``."""
    match status:
        case _ if status == CLIENT_LEFT:
            return "left"
        case 429 | 503:
            return "overload"
        case 504:
            return "late"
        case _ if status >= 500:
            return "failed"
        case _ if status >= 400:
            return "refused"
        case _:
            return "done"
