"""A small convolutional network for digits, trained and run with numpy alone."""

from typing import Any

import numpy as np

from aiohooks.inference.last_layer import LastLayer

Array = np.ndarray[Any, Any]

_KERNEL = 5
_CHANNELS = (8, 16)
_UNITS = 128
_BATCH, _STEPS, _RATE, _DROPOUT = 64, 600, 1e-3, 0.4


class DigitNetwork:
    """Two convolutions, each with ReLU and pooling, and a layer of 128 units whose output after ReLU is the features.

    Trained by Adam (arXiv 1412.6980) with dropout on the features.

    Args:
        pixels: N×28×28, from 0 to 1.
        labels: N, from 0 to C − 1.
        rng: draws weights and batches.
    """

    def __init__(self, pixels: Array, labels: Array, rng: np.random.Generator) -> None:
        inputs = (_KERNEL**2, _CHANNELS[0] * _KERNEL**2, 16 * _CHANNELS[1], _UNITS)
        outputs = (*_CHANNELS, _UNITS, int(labels.max()) + 1)
        self._weights = [
            rng.normal(0, np.sqrt(2 / i), (i, o)).astype(np.float32) for i, o in zip(inputs, outputs, strict=True)
        ]
        self._biases = [np.zeros(o, np.float32) for o in outputs]
        parameters = [*self._weights, *self._biases]
        first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
        for step in range(1, _STEPS + 1):
            picked = rng.integers(0, len(pixels), _BATCH)
            for p, g, m, v in zip(
                parameters, self._gradients(pixels[picked], labels[picked], rng), first, second, strict=True
            ):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= _RATE * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)

    @property
    def layer(self) -> LastLayer:
        """The last one."""
        return LastLayer(self._weights[3].T.copy(), self._biases[3])

    def features(self, pixels: Array) -> Array:
        """Return N×128 features of N×28×28 pixels."""
        rows = [self._forward(pixels[start : start + 200])[-1] for start in range(0, len(pixels), 200)]
        return np.concatenate(rows)

    def _forward(self, pixels: Array) -> list[Array]:
        """Return what the backward pass needs, the features last."""
        w, b = self._weights, self._biases
        columns_1 = _columns(pixels[..., None])
        one = np.maximum(columns_1 @ w[0] + b[0], 0)
        pooled_1 = _pool(one)
        columns_2 = _columns(pooled_1)
        two = np.maximum(columns_2 @ w[1] + b[1], 0)
        pooled_2 = _pool(two)
        features = np.maximum(pooled_2.reshape(len(pixels), -1) @ w[2] + b[2], 0)
        return [columns_1, one, pooled_1, columns_2, two, pooled_2, features]

    def _gradients(self, pixels: Array, labels: Array, rng: np.random.Generator) -> list[Array]:
        w = self._weights
        columns_1, one, pooled_1, columns_2, two, pooled_2, features = self._forward(pixels)
        kept = features * (rng.random(features.shape) > _DROPOUT) / np.float32(1 - _DROPOUT)
        z = kept @ w[3] + self._biases[3]
        error = np.exp(z - z.max(axis=1, keepdims=True))
        error /= error.sum(axis=1, keepdims=True)
        error[np.arange(len(z)), labels] -= 1
        error /= len(z)
        to_features = error @ w[3].T * (kept > 0) / np.float32(1 - _DROPOUT)
        flat = pooled_2.reshape(len(z), -1)
        to_two = _unpool((to_features @ w[2].T).reshape(pooled_2.shape), two, pooled_2)
        windows = (to_two @ w[1].T).reshape(*to_two.shape[:3], _CHANNELS[0], _KERNEL, _KERNEL)
        to_pooled_1 = np.zeros_like(pooled_1)
        height, width = to_two.shape[1:3]
        for i in range(_KERNEL):
            for j in range(_KERNEL):
                to_pooled_1[:, i : i + height, j : j + width] += windows[..., i, j]
        to_one = _unpool(to_pooled_1, one, pooled_1)
        pairs = (columns_1, to_one), (columns_2, to_two), (flat, to_features), (kept, error)
        rows = [(a.reshape(-1, a.shape[-1]), e.reshape(-1, e.shape[-1])) for a, e in pairs]
        return [*(a.T @ e for a, e in rows), *(e.sum(axis=0) for _, e in rows)]


def _columns(images: Array) -> Array:
    """Return the windows of N×H×W×C images as rows: N×h×w×(C·k·k)."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (_KERNEL, _KERNEL), axis=(1, 2))
    return windows.reshape(*windows.shape[:3], -1)


def _pool(images: Array) -> Array:
    n, h, w, c = images.shape
    return images.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def _unpool(gradient: Array, images: Array, pooled: Array) -> Array:
    """Return the gradient before ReLU and pooling: it goes where the maximum was, if that was above 0."""
    spread = gradient.repeat(2, axis=1).repeat(2, axis=2)
    return spread * (images == pooled.repeat(2, axis=1).repeat(2, axis=2)) * (images > 0)
