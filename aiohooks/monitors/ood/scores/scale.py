"""Energy of the logits after the features were scaled by how much their largest hold."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles, Floats, log_sum_exp, products
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

_KEPT = 0.85


@dataclass(frozen=True, eq=False)
class Scale:
    """K. Xu et al., "Scaling for Training Time and Post-hoc Out-of-distribution Detection" (arXiv 2310.00227).

    Attributes:
        weights: C×D, of the last layer.
        bias: C.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"last layer"})

    weights: Floats
    bias: Doubles

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Keep the last layer."""
        layer = training.last_layer
        assert layer is not None, "the model checks what is needed"
        return cls(layer.weights.astype(np.float32), layer.bias.astype(np.float64))

    def __call__(self, batch: Batch) -> Doubles:
        """Return N numbers, −logsumexp of the logits of scaled features."""
        active = np.maximum(batch.features, 0)
        least = np.quantile(active, _KEPT, axis=1)[:, None]
        large = np.where(active >= least, active, 0).sum(axis=1)
        ratio = active.sum(axis=1) / np.maximum(large, 1e-12)
        logits = products(batch.features, self.weights).astype(np.float64) * np.exp(ratio)[:, None] + self.bias
        return -log_sum_exp(logits)
