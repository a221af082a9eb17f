"""Whether features are of pictures that a model was trained with."""

import numpy as np

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.covariance import Floats

_SAME = 0.02
_ROWS_AT_ONCE = 256
_PAIRS = 1000


def share_seen(features: Floats, training: Floats) -> float:
    """Return the share of features (N, D) that are those of a training picture (M, D), but for rounding.

    They are taken to be the same where the distance is less than a fiftieth of that between any two training pictures,
    by the median.

    Raises:
        SpecError: the widths differ.
    """
    if features.shape[1] != training.shape[1]:
        raise SpecError(f"training_features: {training.shape[1]:,} wide, and the features {features.shape[1]:,}")
    one, other = np.random.default_rng(0).integers(len(training), size=(2, _PAIRS))
    usual = np.median(np.linalg.norm(training[one] - training[other], axis=1))
    squares = np.einsum("ij,ij->i", training, training)
    seen = 0
    for start in range(0, len(features), _ROWS_AT_ONCE):
        some = features[start : start + _ROWS_AT_ONCE]
        gaps = np.einsum("ij,ij->i", some, some)[:, None] - 2 * some @ training.T + squares
        seen += int(np.count_nonzero(gaps.min(1) < (_SAME * usual) ** 2))
    return seen / len(features)
