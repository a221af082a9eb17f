"""How improbable the most probable class is."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class MSP:
    """D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples" (arXiv 1610.02136)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"logits"})

    @classmethod
    def fit(cls, training: Training) -> Self:  # noqa: ARG003
        """Need nothing."""
        return cls()

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, 1 less the largest probability."""
        improbable: Doubles = -np.expm1(batch.log_probabilities.max(axis=1))
        return improbable
