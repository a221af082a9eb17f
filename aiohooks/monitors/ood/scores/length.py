"""How far the length of the features is from the usual, to either side."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

_SHARE = 0.1
_SHORTEST = 1e-30


@dataclass(frozen=True, eq=False)
class Length:
    """The feature norm of J. Park et al., "Understanding the Feature Norm for Out-of-Distribution Detection" (arXiv 2310.05316).

    Its logarithm, and either side by its own spread: measures of features of length 1 are blind to it.

    Attributes:
        middle: median of the logarithm.
        below: distance to its 10 % quantile.
        above: distance to its 90 % quantile.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    middle: float
    below: float
    above: float

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take the usual lengths from pictures that were held out."""
        below, middle, above = np.quantile(_logarithm(training.held_out), [_SHARE, 0.5, 1 - _SHARE])
        return cls(float(middle), max(float(middle - below), 1e-6), max(float(above - middle), 1e-6))

    def __call__(self, batch: Batch) -> Doubles:
        """Return N distances in units of the spread on that side."""
        offsets = _logarithm(batch) - self.middle
        return np.where(offsets > 0, offsets / self.above, -offsets / self.below)

    def of(self, length: float) -> float:
        """Return the distance of one length."""
        offset = math.log(max(length, _SHORTEST)) - self.middle
        return offset / self.above if offset > 0 else -offset / self.below


def _logarithm(batch: Batch) -> Doubles:
    lengths: Doubles = np.log(np.maximum(batch.norms[:, 0], _SHORTEST))
    return lengths
