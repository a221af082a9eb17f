"""What a measure of drift is: one number of a window against a reference, larger the more they differ."""

from typing import NamedTuple, Protocol

from aiohooks.monitors.drift.covariance import Floats


class Totals(NamedTuple):
    """Sums over M sets of events, in units of 1.

    Attributes:
        counts: (M,), numbers of events.
        sums: (M, P), as in a summary.
    """

    counts: Floats
    sums: Floats


class Measure(Protocol):
    """One way in which windows can differ from a reference; every one is a function of sums alone."""

    @property
    def name(self) -> str:
        """Names it in decisions."""
        ...

    def events(self, window: Totals) -> Floats:
        """Return how many events of each window it can judge, (M,)."""
        ...

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return how much each window differs, (M,), divided by what chance makes of windows of that size.

        Args:
            window: M windows with at least one event each that it can judge.
            reference: one set of events for all windows, or one for each.
        """
        ...


def chance(count: Floats, of_reference: Floats) -> Floats:
    """Return the variance of the difference of two means, of so many events of variance 1 each."""
    return 1 / count + 1 / of_reference
