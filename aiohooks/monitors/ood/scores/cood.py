"""COOD, the out-of-distribution model of Intel Geti."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.forest import Forest
from aiohooks.monitors.ood.scores.entropy_distance import NEIGHBOURS, label_entropy, neighbours
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

_TIE_BREAK = 1e-3


@dataclass(frozen=True, eq=False)
class COOD:
    """Seven measures and a random forest: L. Hogeweg et al., "COOD: Combined out-of-distribution detection" (arXiv 2403.06874).

    As in Geti's draft: distance to the tenth and to the nearest neighbour and the mean, the entropy of the neighbours'
    labels, mean and nearest distance times that entropy, the largest probability. Unlike there, the forest learns from
    in-distribution pictures that are not in the bank, where they would find themselves, and frames on which all trees
    agree are told apart by their mean distance.

    Attributes:
        bank: training pictures, their features of length 1.
        forest: tells in-distribution from out-of-distribution pictures by the seven.
        k: how many neighbours.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"logits", "out of distribution"})

    bank: Bank
    forest: Forest
    k: int

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Grow the forest.

        Raises:
            SpecError: scikit-learn is not installed.
        """
        assert training.strange is not None, "the model checks what is needed"
        k = min(NEIGHBOURS, len(training.bank))
        usual, strange = (_measures(training.bank, batch, k) for batch in (training.held_out, training.strange))
        return cls(training.bank, Forest.grow(usual, strange, seed=training.seed), k)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N probabilities to be out of distribution, raised by up to 0.001 by the mean distance."""
        measures = _measures(self.bank, batch, self.k)
        return self.forest(measures) + _TIE_BREAK * measures[:, 2] / 2


def _measures(bank: Bank, batch: Batch, k: int) -> Doubles:
    distances, labels = neighbours(bank, batch, k)
    farthest, nearest, mean = distances[:, -1], distances[:, 0], distances.mean(axis=1)
    entropy = label_entropy(labels)
    largest = np.exp(batch.log_probabilities.max(axis=1))
    return np.column_stack([farthest, nearest, mean, entropy, mean * entropy, nearest * entropy, largest])
