"""How well scores tell pictures that are out of distribution from those that are not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """A receiver operating characteristic: what a threshold on the score finds and what it mistakes.

    Attributes:
        false_alarms: share of in-distribution pictures above the thresholds, rising from 0 to 1.
        found: share of out-of-distribution pictures above them.
    """

    false_alarms: NDArray[np.float64]
    found: NDArray[np.float64]

    @classmethod
    def of(cls, in_distribution: ArrayLike, out_of_distribution: ArrayLike) -> "Roc":
        """Return the curve of scores of pictures that are in and out of distribution, at least one of each."""
        inside, outside = (
            np.asarray(scores, np.float64).reshape(-1) for scores in (in_distribution, out_of_distribution)
        )
        # Equal scores are passed at once: none of an order that they do not have counts.
        thresholds = np.unique(np.concatenate([inside, outside]))[::-1]
        above = [
            len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left") for scores in (inside, outside)
        ]
        return cls(np.r_[0, above[0] / len(inside)], np.r_[0, above[1] / len(outside)])

    @property
    def auroc(self) -> float:
        """Area under the curve: how often a picture that is out of distribution has the higher score; equals count half."""
        return float(np.trapezoid(self.found, self.false_alarms))

    @property
    def fpr95(self) -> float:
        """Share of false alarms at the threshold that finds 95 % of what is out of distribution, as OpenOOD has it.

        J. Zhang et al., "OpenOOD v1.5: Enhanced Benchmark for Out-of-Distribution Detection" (arXiv 2306.09301). Elsewhere it is at times
        the share of what is out of distribution that passes where 5 % of the other pictures are flagged.
        """
        return float(self.false_alarms[np.argmax(self.found >= 0.95)])

    def found_at(self, rate: float) -> float:
        """Return the share that is found where at most this share of false alarms is raised."""
        return float(self.found[self.false_alarms <= rate][-1])
