"""Few pictures that lie near all others."""

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.ood.batch import Floats
from aiohooks.monitors.progress import Progress, unseen


def coreset(points: Floats, size: int, rng: np.random.Generator, progress: Progress = unseen) -> NDArray[np.intp]:
    """Return rows, chosen so that no point is far from all of them: each is the one farthest from those before it.

    The greedy choice of k centres (T. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985), as
    used for banks of features by K. Roth et al., "Towards Total Recall in Industrial Anomaly Detection" (arXiv
    2106.08265). Takes ``size`` times a product of all points with one.

    Args:
        points: N×D.
        size: how many to choose, from 1 to N.
        rng: draws the first one.
        progress: told how many are chosen.

    Returns:
        ``size`` row numbers, rising.
    """
    if size >= len(points):
        return np.arange(len(points))
    squares = np.einsum("nd,nd->n", points, points)
    chosen = np.empty(size, np.intp)
    distances = np.full(len(points), np.inf, np.float32)
    at = int(rng.integers(len(points)))
    for turn in range(size):
        progress("bank", turn, size)
        chosen[turn] = at
        np.minimum(distances, squares - 2 * (points @ points[at]) + squares[at], out=distances)
        distances[at] = -np.inf
        at = int(distances.argmax())
    return np.sort(chosen)
