"""Generalised entropy of the probabilities."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

_GAMMA = 0.1
_CLASSES = 100


@dataclass(frozen=True, eq=False)
class GEN:
    """X. Liu et al., "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection" (CVPR 2023)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"logits"})

    @classmethod
    def fit(cls, training: Training) -> Self:  # noqa: ARG003
        """Need nothing."""
        return cls()

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, Σ (p (1 − p))^0.1 over the 100 most probable classes."""
        probabilities = np.sort(np.exp(batch.log_probabilities), axis=1)[:, -_CLASSES:]
        generalised: Doubles = ((probabilities * (1 - probabilities)) ** _GAMMA).sum(axis=1)
        return generalised
