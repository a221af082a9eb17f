"""Whether the distribution of a number per event changed."""

from dataclasses import dataclass

import numpy as np

from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.measure import Totals, chance


@dataclass(frozen=True, slots=True)
class HistogramShift:
    """The two-sample statistic of Anderson and Darling over the bins of histograms; the mean of several numbers' own.

    T. W. Anderson, D. A. Darling, "Asymptotic theory of certain goodness of fit criteria" (1952): squared differences of the
    cumulative frequencies, each divided by its variance, so that tails count as much as the middle.

    Attributes:
        name: of the measure.
        where: of each histogram.
    """

    name: str
    where: tuple[slice, ...]

    def events(self, window: Totals) -> Floats:
        """Return how many events have the number that fewest have, (M,)."""
        return np.asarray(np.min([window.sums[:, where].sum(1) for where in self.where], axis=0))

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return the statistic, (M,); around 1 without drift."""
        return np.asarray(
            np.mean([_difference(window.sums[:, at], reference.sums[:, at]) for at in self.where], axis=0)
        )


def _difference(window: Floats, reference: Floats) -> Floats:
    # Nothing of what there is none of, rather than no number at all.
    count, of_reference = np.maximum(window.sum(1), 1), np.maximum(reference.sum(1), 1)
    below, reference_below = window.cumsum(1)[:, :-1], reference.cumsum(1)[:, :-1]
    # Half an event on either side, so that what the reference never saw has a variance, too.
    expected = (reference_below + 0.5) / (of_reference[:, None] + 1)
    difference = below / count[:, None] - reference_below / of_reference[:, None]
    squares = difference**2 / (expected * (1 - expected))
    return np.asarray(squares.mean(1) / chance(count, of_reference))
