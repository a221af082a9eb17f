"""What is left of the features beyond their principal directions, against the energy of the logits."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles, Floats, products
from aiohooks.monitors.ood.principal import principal
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class ViM:
    """H. Wang et al., "ViM: Out-Of-Distribution with Virtual-logit Matching" (arXiv 2203.10807).

    Attributes:
        origin: D, where all logits are as near to 0 as can be.
        directions: r×D, orthonormal.
        scale: from the length of what is left to a logit.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"logits", "last layer"})

    origin: Floats
    directions: Floats
    scale: float

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take the principal directions about the origin."""
        layer = training.last_layer
        assert layer is not None, "the model checks what is needed"
        origin = -np.linalg.pinv(layer.weights.astype(np.float64)) @ layer.bias
        count, width = training.features.shape
        kept = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
        kept = max(1, min(kept, count // 2))
        found = principal((rows.astype(np.float64) - origin for rows in _chunks(training.features)), count, width)
        made = cls(origin.astype(np.float32), np.ascontiguousarray(found.axes[:kept], np.float32), 1.0)
        lengths = np.concatenate([made._left(Batch(rows)) for rows in _chunks(training.features)])
        largest = training.batch.logits.max(axis=1)
        return cls(made.origin, made.directions, float(largest.mean() / max(lengths.mean(), 1e-12)))

    def __call__(self, batch: Batch) -> Doubles:
        """Return N differences, the virtual logit less logsumexp of the others."""
        return self.scale * self._left(batch) + batch.energy

    def _left(self, batch: Batch) -> Doubles:
        offsets = batch.features - self.origin
        kept = products(offsets, self.directions)
        squares = np.vecdot(offsets, offsets) - np.vecdot(kept, kept)
        lengths: Doubles = np.sqrt(np.maximum(squares, 0).astype(np.float64))
        return lengths


def _chunks(features: Floats) -> list[Floats]:
    return [features[start : start + _CHUNK] for start in range(0, len(features), _CHUNK)]
