"""How well the features point along the weights of the class that the network sees."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles, Floats
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training


@dataclass(frozen=True, eq=False)
class NCI:
    """J. Liu, M. Sabuncu, "Detecting Out-of-distribution through the Lens of Neural Collapse" (arXiv 2311.01479).

    There the weight of the features' length is chosen with OOD pictures; here both terms vary alike on pictures held out.

    Attributes:
        mean: D, of the training features.
        weights: C×D, of the last layer.
        length_weight: of Σ|f|.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"logits", "last layer"})

    mean: Floats
    weights: Floats
    length_weight: float

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take the mean of the features."""
        layer = training.last_layer
        assert layer is not None, "the model checks what is needed"
        mean = training.features.mean(axis=0, dtype=np.float64).astype(np.float32)
        made = cls(mean, layer.weights.astype(np.float32), 0.0)
        along, lengths = made._terms(training.held_out)
        return cls(mean, made.weights, float(along.std() / max(lengths.std(), 1e-12)))

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, less both terms."""
        along, lengths = self._terms(batch)
        return -(along + self.length_weight * lengths)

    def _terms(self, batch: Batch) -> tuple[Doubles, Doubles]:
        offsets = batch.features - self.mean
        weights = self.weights[batch.logits.argmax(axis=1)]
        along = np.vecdot(weights, offsets) / np.maximum(np.linalg.norm(offsets, axis=1), 1e-12)
        return along.astype(np.float64), np.abs(batch.features).sum(axis=1).astype(np.float64)
