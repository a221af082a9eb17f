"""Products of few vectors with many rows, in this thread alone.

BLAS shares such a product among threads and waits until all are done: on cores that a network keeps busy that takes milliseconds for what takes
microseconds, and its threads wait at work. Rows one by one, or in blocks too small to be shared, are as quick as one thread can be.
"""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 25
"""Rows at once for two points: with 4,096 numbers each, that is still below the 2¹⁸ multiplications from which OpenBLAS shares."""

Floats = NDArray[np.float32]


def products(points: Floats, rows: Floats) -> Floats:
    """Return N×n products of N points with n rows.

    Args:
        points: N×D; one or two stay in this thread, more are left to BLAS.
        rows: n×D.
    """
    if len(points) == 1:
        alone: Floats = np.vecdot(rows, points[0])
        return alone[None]
    if len(points) > 2:
        shared: Floats = points @ rows.T
        return shared
    found = np.empty((len(rows), 2), np.float32)
    count = len(rows) // _BLOCK
    whole = count * _BLOCK
    blocks = rows[:whole].reshape(count, _BLOCK, rows.shape[1])
    np.matmul(blocks, points.T, out=found[:whole].reshape(count, _BLOCK, 2))
    np.matmul(rows[whole:], points.T, out=found[whole:])
    return found.T
