"""How often a value was how large, as Prometheus counts it."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts of values by their upper bounds.

    Args:
        bounds: of the buckets, ascending; a last one without bound is added.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
