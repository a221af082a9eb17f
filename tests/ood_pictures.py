"""Features and logits as a small classifier would give them, of pictures like its training pictures and of others."""

from dataclasses import dataclass

import numpy as np

from aiohooks.inference.last_layer import LastLayer

WIDTH, CLASSES = 24, 4


@dataclass(frozen=True)
class World:
    """Clouds of features, one for each class.

    Attributes:
        means: C×D.
        layer: gives the logits.
    """

    means: np.ndarray
    layer: LastLayer

    @classmethod
    def make(cls, seed: int = 0, width: int = WIDTH) -> "World":
        rng = np.random.default_rng(seed)
        means = rng.gamma(2.0, size=(CLASSES, width))
        centred = means - means.mean(axis=0)
        weights = centred.astype(np.float32) / 4
        return cls(means, LastLayer(weights, (-weights @ means.mean(axis=0)).astype(np.float32)))

    def logits(self, features: np.ndarray) -> np.ndarray:
        return features @ self.layer.weights.T + self.layer.bias

    def usual(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, logits and labels."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, CLASSES, count)
        spread = rng.normal(size=(count, self.means.shape[1])) * np.linspace(0.2, 1.0, self.means.shape[1])
        features = (self.means[labels] + spread).astype(np.float32)
        return features, self.logits(features), labels

    def strange(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return features and logits of pictures that differ where the usual ones do not vary."""
        rng = np.random.default_rng(seed)
        features, _, _ = self.usual(count, seed + 1)
        still = self.means.shape[1] // 3
        features[:, :still] += rng.choice([-1.2, 1.2], size=(count, still)).astype(np.float32)
        return features, self.logits(features)
