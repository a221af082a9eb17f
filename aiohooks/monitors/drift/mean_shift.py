"""Whether the mean of the events moved."""

from dataclasses import dataclass

import numpy as np

from aiohooks.monitors.drift.covariance import Floats, Spread
from aiohooks.monitors.drift.measure import Totals, chance


@dataclass(frozen=True, slots=True)
class MeanShift:
    """T² of the difference of two means (H. Hotelling, "The generalization of Student's ratio", 1931).

    Attributes:
        name: of the measure.
        where: of the vector whose mean is meant.
        spread: of that vector over the baseline; None if its numbers are uncorrelated and of variance 1 already.
    """

    name: str
    where: slice
    spread: Spread | None = None

    def events(self, window: Totals) -> Floats:
        """Return how many events of each window it can judge: all."""
        return window.counts

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return T² per direction, (M,); around 1 without drift."""
        moved = self.moved(window, reference)
        return np.asarray((moved**2).mean(1) / chance(window.counts, reference.counts))

    def moved(self, window: Totals, reference: Totals) -> Floats:
        """Return how far the mean moved along each principal direction, (M, k) in standard deviations of one event."""
        difference: Floats = (
            window.sums[:, self.where] / window.counts[:, None]
            - reference.sums[:, self.where] / reference.counts[:, None]
        )
        if self.spread is not None:
            difference = difference @ self.spread.directions / self.spread.deviations
        return difference
