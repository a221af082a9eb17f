"""Mahalanobis distance to the nearest class mean, less that to the mean of all."""

from dataclasses import dataclass
from typing import ClassVar, Self

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.ood.whitening import Whitening


@dataclass(frozen=True, eq=False)
class RelativeMahalanobis:
    """J. Ren et al., "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection" (arXiv 2106.09022)."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    whitening: Whitening
    total: Whitening

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take means and covariances, by classes and of all."""
        return cls(training.whitening, training.total_whitening)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N differences of squared distances."""
        return self.whitening.nearest_mean(batch) - self.total.nearest_mean(batch)
