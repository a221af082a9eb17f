"""Mahalanobis distance to the nearest class mean."""

from dataclasses import dataclass
from typing import ClassVar, Self

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.ood.whitening import Whitening


@dataclass(frozen=True, eq=False)
class Mahalanobis:
    """K. Lee et al., "A Simple Unified Framework for Detecting OOD Samples" (arXiv 1807.03888), the covariance shrunk."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    whitening: Whitening

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take means and covariance."""
        return cls(training.whitening)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N squared distances."""
        return self.whitening.nearest_mean(batch)
