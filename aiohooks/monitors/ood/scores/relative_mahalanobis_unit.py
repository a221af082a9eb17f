"""Relative Mahalanobis distance, of features scaled to length 1."""

from dataclasses import dataclass
from typing import ClassVar, Self

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.ood.whitening import Whitening


@dataclass(frozen=True, eq=False)
class RelativeMahalanobisUnit:
    """arXiv 2106.09022 on features scaled as in arXiv 2505.18032."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    whitening: Whitening
    total: Whitening

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take means and covariances, by classes and of all."""
        return cls(training.unit_whitening, training.total_unit_whitening)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N differences of squared distances."""
        return self.whitening.nearest_mean(batch) - self.total.nearest_mean(batch)
