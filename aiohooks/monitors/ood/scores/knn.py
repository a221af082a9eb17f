"""Distance to the k-th nearest training picture."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class KNN:
    """Y. Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors" (arXiv 2204.06507).

    Attributes:
        bank: training pictures, their features of length 1.
        k: which neighbour; it grows like the square root of the bank.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    bank: Bank
    k: int

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Keep training pictures."""
        return cls(training.bank, training.bank.neighbours)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N distances."""
        squares = np.partition(batch.of(self.bank).plain, self.k - 1, axis=1)[:, self.k - 1]
        return np.sqrt(np.maximum(squares, 0).astype(np.float64))
