"""Mahalanobis distance to the nearest class mean, of features scaled to length 1."""

from dataclasses import dataclass
from typing import ClassVar, Self

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.ood.whitening import Whitening


@dataclass(frozen=True, eq=False)
class MahalanobisUnit:
    """M. Mueller, M. Hein, "Mahalanobis++" (arXiv 2505.18032), the covariance shrunk."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    whitening: Whitening

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take means and covariance."""
        return cls(training.unit_whitening)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N squared distances."""
        return self.whitening.nearest_mean(batch)
