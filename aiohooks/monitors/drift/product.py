"""Products of matrices that take one thread, beside an inference that wants all processors."""

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.covariance import Floats

_ROWS = 4
_MOST = 1 << 18
"""Multiplications up to which OpenBLAS keeps a product to one thread (interface/gemm.c, SMP_THRESHOLD_MIN × GEMM_MULTITHREAD_THRESHOLD).

Beyond, its other threads wait for more work at full speed for some 30 ms, which costs an inference more than the product does.
"""


def product(rows: NDArray[np.float64], matrix: Floats) -> Floats:
    """Return ``rows @ matrix``, (N, K) by (K, M), bit for bit the same whichever rows come together."""
    count, depth = rows.shape
    if count % _ROWS:
        rows = np.concatenate([rows, np.zeros((-count % _ROWS, depth))])
    stacked = rows.reshape(-1, _ROWS, depth)
    width = max(1, _MOST // (_ROWS * depth))
    parts = [stacked @ matrix[:, first : first + width] for first in range(0, matrix.shape[1], width)]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    return whole.reshape(-1, matrix.shape[1])[:count]
