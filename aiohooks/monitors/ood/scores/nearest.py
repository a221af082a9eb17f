"""Distance to the nearest training picture."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class Nearest:
    """Distance between features of length 1; D. Tax, "One-class classification" (2001), with one neighbour."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    bank: Bank

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Keep training pictures."""
        return cls(training.bank)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N distances."""
        squares: Doubles = batch.of(self.bank).plain.min(axis=1).astype(np.float64)
        return np.sqrt(np.maximum(squares, 0))
