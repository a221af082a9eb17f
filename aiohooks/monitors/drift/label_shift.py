"""Whether the model predicts other labels than it did."""

from dataclasses import dataclass

import numpy as np

from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.measure import Totals, chance


@dataclass(frozen=True, slots=True)
class LabelShift:
    """Squared differences of the mean probabilities, each divided by its variance in the baseline.

    It is Pearson's statistic (1900) where the probabilities are 0 and 1.

    Attributes:
        name: of the measure.
        probabilities: where their sums are.
        labels: where the counts of the most probable labels are.
        variances: (C,), of the probabilities of one event.
    """

    name: str
    probabilities: slice
    labels: slice
    variances: Floats

    def events(self, window: Totals) -> Floats:
        """Return how many events have probabilities, (M,)."""
        return np.asarray(window.sums[:, self.labels].sum(1), np.float64)

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return the mean of the squares, (M,); around 1 without drift."""
        count, of_reference = np.maximum(self.events(window), 1), np.maximum(self.events(reference), 1)
        difference = (
            window.sums[:, self.probabilities] / count[:, None]
            - reference.sums[:, self.probabilities] / of_reference[:, None]
        )
        return np.asarray((difference**2 / self.variances).mean(1) / chance(count, of_reference))
