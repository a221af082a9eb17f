"""Logits of what a deployment gives: class scores after softmax or sigmoid, and features.

A softmax hides by how much all logits are larger than their logarithms: by the same number, which one row of the last layer tells. That takes
a thousandth of the time that all of its rows would.
"""

import math

import numpy as np
from numpy.typing import NDArray

from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.batch import log_sum_exp

QUICK_SIZE = 1 << 16
"""Last layers up to so many weights are multiplied in whole, in some 20 µs."""

TOLERANCE = 0.05
"""By how much probabilities of the last layer may be off those of the model, which may compute in bfloat16 or 8 bits."""

_SUM_TOLERANCE = 1e-2
_TINY = float(np.finfo(np.float32).tiny)


def logits_of(
    layer: LastLayer, features: NDArray[np.float32], class_scores: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the logits of one picture, C.

    Args:
        layer: of the network, C×D.
        features: D.
        class_scores: C probabilities, where the model gives them.
    """
    if class_scores is None or not _tells(layer, class_scores):
        return np.asarray(layer.weights @ features + layer.bias, np.float32)
    best = int(class_scores.argmax())
    logits = np.log(np.maximum(class_scores, _TINY))
    logits += np.float32(layer.weights[best] @ features + layer.bias[best] - logits[best])
    return logits


def energy_of(
    layer: LastLayer, features: NDArray[np.float32], class_scores: NDArray[np.float32] | None = None
) -> float:
    """Return −logsumexp of the logits of one picture: −(one of them − the logarithm of its probability), where that is known.

    Args:
        layer: of the network, C×D.
        features: D.
        class_scores: C probabilities, where the model gives them.
    """
    if class_scores is None or not _tells(layer, class_scores):
        logits = np.asarray(layer.weights @ features + layer.bias, np.float64)
        return -float(log_sum_exp(logits[None])[0])
    best = int(class_scores.argmax())
    logit = float(np.dot(layer.weights[best], features)) + float(layer.bias[best])
    return math.log(max(float(class_scores[best]), _TINY)) - logit


def _tells(layer: LastLayer, class_scores: NDArray[np.float32]) -> bool:
    """Tell whether class scores are those of a softmax, and the layer so large that they are the quicker way."""
    return layer.weights.size > QUICK_SIZE and abs(float(np.add.reduce(class_scores)) - 1) <= _SUM_TOLERANCE


def explains(layer: LastLayer, features: NDArray[np.float32], class_scores: NDArray[np.float32]) -> bool:
    """Tell whether a layer makes the class scores of the features: what a graph has beside them may belong to other ones.

    Args:
        layer: C×D.
        features: N×D.
        class_scores: N×C probabilities.
    """
    if layer.weights.shape != (class_scores.shape[1], features.shape[1]) or not len(features):
        return False
    logits = features @ layer.weights.T + layer.bias
    highest = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - highest)
    softmax = powers / powers.sum(axis=1, keepdims=True)
    sigmoid = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    return any(float(np.abs(found - class_scores).max()) <= TOLERANCE for found in (softmax, sigmoid))
