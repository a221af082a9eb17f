"""Which of many pictures are out of distribution, with few that are not among them."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.errors import SpecError


def screen(p_values: ArrayLike, false_discovery_rate: float = 0.1) -> NDArray[np.bool_]:
    """Return which p-values are small enough that at most a given share of those chosen is there by chance.

    The procedure of Y. Benjamini, Y. Hochberg, "Controlling the False Discovery Rate" (1995); with conformal p-values
    of one calibration set: S. Bates et al., "Testing for Outliers with Conformal p-values" (arXiv 2104.08279).

    Args:
        p_values: N numbers in (0, 1], as `OODModel.conformal_p_value` gives them.
        false_discovery_rate: expected share of in-distribution pictures among those chosen, in (0, 1).

    Raises:
        SpecError: a number is out of its range.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not np.all((p > 0) & (p <= 1)):
        raise SpecError("p_values: N numbers above 0, at most 1 are needed")
    if not 0 < false_discovery_rate < 1:
        raise SpecError(f"false_discovery_rate: it must be between 0 and 1, got {false_discovery_rate!r}")
    ordered = np.sort(p)
    passing = np.flatnonzero(ordered <= false_discovery_rate * np.arange(1, p.size + 1) / max(p.size, 1))
    return p <= ordered[passing[-1]] if passing.size else np.zeros(p.size, np.bool_)


def least_flaggable(pictures: int, calibration_size: int, false_discovery_rate: float) -> int:
    """Return how many pictures must have the smallest p-value there is for `screen` to choose any, at least 1.

    That p-value is 1 / (n + 1) with n calibration pictures, so k of m pictures can be chosen where k ≥ m / (q · (n + 1)).

    Args:
        pictures: m.
        calibration_size: n.
        false_discovery_rate: q.
    """
    return max(1, math.ceil(pictures / (false_discovery_rate * (calibration_size + 1)) - 1e-9))


def size_for_one(pictures: int, false_discovery_rate: float) -> int:
    """Return the least n with which `screen` can choose a single one of m pictures."""
    return max(1, math.ceil(pictures / false_discovery_rate - 1e-9) - 1)
