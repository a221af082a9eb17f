"""An OOD model at work on predictions."""

import os
from typing import TYPE_CHECKING, NamedTuple

import anyio
from anyio.lowlevel import RunVar
from numpy.typing import NDArray

from aiohooks.monitors.ood.collect import vector_of
from aiohooks.monitors.ood.logits import logits_of
from aiohooks.prediction import Prediction

if TYPE_CHECKING:
    import numpy as np

    from aiohooks.inference.last_layer import LastLayer

MOST_SECONDS_ON_LOOP = 0.001
"""What takes longer is done in a worker thread."""

_scoring_threads: RunVar[anyio.CapacityLimiter] = RunVar("_scoring_threads")


class Evidence(NamedTuple):
    """What an OOD model goes by.

    Attributes:
        features: D.
        logits: C, or None.
    """

    features: "NDArray[np.float32]"
    logits: "NDArray[np.float32] | None"


def evidence_of(prediction: Prediction, layer: "LastLayer | None") -> Evidence:
    """Return what an OOD model goes by; the logits are those of the last layer, without which there are none.

    Raises:
        SpecError: the prediction has no feature vector.
    """
    features = vector_of(prediction)
    return Evidence(features, None if layer is None else logits_of(layer, features, prediction.class_scores))


def scoring_threads() -> anyio.CapacityLimiter:
    """Return the limiter of the threads that score: actions that fill the shared ones do not hold them up."""
    try:
        return _scoring_threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(os.cpu_count() or 1)
        _scoring_threads.set(limiter)
        return limiter
