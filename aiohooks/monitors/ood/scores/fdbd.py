"""How near the features are to where the network would decide otherwise."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles, Floats
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class FDBD:
    """L. Liu, Y. Qin, "Fast Decision Boundary based Out-of-Distribution Detector" (arXiv 2312.11536).

    Attributes:
        mean: D, of the training features.
        between: C×C, distances between the weights of classes; infinite from a class to itself.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"logits", "last layer"})

    mean: Floats
    between: Doubles

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take the mean of the features and the distances of the weights."""
        layer = training.last_layer
        assert layer is not None, "the model checks what is needed"
        weights = layer.weights.astype(np.float64)
        squares = (weights**2).sum(axis=1)
        between = np.sqrt(np.maximum(squares[:, None] + squares - 2 * weights @ weights.T, 1e-24))
        np.fill_diagonal(between, np.inf)
        return cls(training.features.mean(axis=0, dtype=np.float64).astype(np.float32), between)

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, less the mean distance to decisions in units of the distance to the mean."""
        logits = batch.logits
        likeliest = logits.argmax(axis=1)
        gaps = (logits.max(axis=1)[:, None] - logits) / self.between[likeliest]
        lengths = np.linalg.norm(batch.features - self.mean, axis=1)
        mean: Doubles = gaps.sum(axis=1) / max(logits.shape[1] - 1, 1)
        near: Doubles = -mean / np.maximum(lengths, 1e-12)
        return near
