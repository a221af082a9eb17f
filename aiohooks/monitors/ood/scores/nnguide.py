"""Energy of the logits, guided by the nearest training pictures."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch, Doubles, Floats
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class NNGuide:
    """J. Park et al., "Nearest Neighbor Guidance for Out-of-Distribution Detection" (arXiv 2309.14888).

    Attributes:
        bank: training pictures, their features of length 1.
        confidence: n, logsumexp of their logits.
        k: how many neighbours.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"logits"})

    bank: Bank
    confidence: Floats
    k: int

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Keep training pictures and their energies."""
        bank = training.bank
        return cls(bank, (-training.batch.energy[bank.index]).astype(np.float32), bank.neighbours)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, less logsumexp times the mean of the k largest cosines, weighed by confidence."""
        guided = (1 - batch.of(self.bank).plain / 2) * self.confidence
        largest = np.partition(guided, -self.k, axis=1)[:, -self.k :]
        guidance: Doubles = largest.mean(axis=1).astype(np.float64)
        return batch.energy * guidance
