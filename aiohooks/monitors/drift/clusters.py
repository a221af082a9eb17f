"""Clusters of a baseline's events, as the bins of a distribution over all features."""

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.product import product

_ROUNDS = 50


def k_means(points: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    """Return centres (K, k) of points (N, k): Lloyd's algorithm, begun as in D. Arthur, S. Vassilvitskii, "k-means++" (2007)."""
    centres = points[rng.integers(len(points), size=1)]
    while len(centres) < clusters:
        gaps = _squares(points, centres).min(1)
        if not gaps.any():
            break
        centres = np.concatenate([centres, points[rng.choice(len(points), size=1, p=gaps / gaps.sum())]])
    owner = nearest(points, centres)
    for _ in range(_ROUNDS):
        counts = np.bincount(owner, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, points)
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        before, owner = owner, nearest(points, centres)
        if np.array_equal(owner, before):
            break
    return centres


def nearest(points: Floats, centres: Floats) -> NDArray[np.int64]:
    """Return which of the centres (K, k) is nearest to each of the points (N, k)."""
    return np.asarray(_squares(points, centres).argmin(1))


def _squares(points: Floats, centres: Floats) -> Floats:
    """Return the squared distances (N, K)."""
    products = product(points, centres.T)
    squares = np.einsum("ij,ij->i", points, points)[:, None] - 2 * products + np.einsum("ij,ij->i", centres, centres)
    return np.asarray(np.maximum(squares, 0))
