"""Distance to the nearest training pictures, weighed by how much their labels disagree."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class EntropyDistance:
    """Mean distance × (1 + entropy of the neighbours' labels); the product is one of COOD's (arXiv 2403.06874).

    There the entropy is not raised by 1, so that all frames whose neighbours agree are alike.

    Attributes:
        bank: training pictures, their features of length 1.
        k: how many neighbours.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    bank: Bank
    k: int

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Keep training pictures."""
        return cls(training.bank, min(NEIGHBOURS, len(training.bank)))

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers."""
        distances, labels = neighbours(self.bank, batch, self.k)
        mean: Doubles = distances.mean(axis=1)
        return mean * (1 + label_entropy(labels))


def neighbours(bank: Bank, batch: Batch, k: int) -> tuple[Doubles, NDArray[np.int64]]:
    """Return the distances to the k nearest pictures, N×k, the nearest first, and their labels."""
    squares = batch.of(bank).plain
    index = np.argpartition(squares, k - 1, axis=1)[:, :k]
    distances = np.sqrt(np.maximum(np.take_along_axis(squares, index, axis=1), 0).astype(np.float64))
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, axis=1), bank.labels[np.take_along_axis(index, order, axis=1)]


def label_entropy(labels: NDArray[np.int64]) -> Doubles:
    """Return the entropy of each row of N×k labels, in nats."""
    same = (labels[:, :, None] == labels[:, None, :]).mean(axis=2)
    entropy: Doubles = -np.log(same).mean(axis=1)
    return entropy
