"""How unlike any class, for how unlike the average of all, in the directions in which classes differ."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles, products
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.ood.whitening import Whitening


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Relative Mahalanobis distance (arXiv 2106.09022) in the directions of R. A. Fisher's linear discriminant.

    The covariance of all pictures is taken to be that within classes and that of their means, so that whatever does not tell the classes apart
    cancels out: few pictures say little of it.

    Attributes:
        whitening: by classes, of features scaled to length 1.
        shares: C, of the classes among the training pictures.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    whitening: Whitening
    shares: Doubles

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Count the classes."""
        counts = np.bincount(training.labels)
        return cls(training.unit_whitening, counts / counts.sum())

    def __call__(self, batch: Batch) -> Doubles:
        """Return N differences of squared distances."""
        along = products(batch.of(self.whitening).weighed, self.whitening.means).astype(np.float64)
        nearest: Doubles = (self.whitening.mean_squares - 2 * along).min(axis=1)
        nearest += np.vecdot(np.vecdot(along[:, None], self.between), along)
        return nearest

    @cached_property
    def between(self) -> Doubles:
        """C×C; of products with the means it makes how much nearer the centre is by the covariance of all than by that within classes."""
        # Woodbury: (S + MᵀWM)⁻¹ = S⁻¹ − S⁻¹Mᵀ (W⁻¹ + M S⁻¹ Mᵀ)⁻¹ M S⁻¹
        means = self.whitening.means.astype(np.float64)
        return np.asarray(np.linalg.inv(np.diag(1 / self.shares) + (means * self.whitening.precision) @ means.T))
