"""Directions in which many rows vary."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from aiohooks.monitors.ood.batch import Doubles


class Principal(NamedTuple):
    """What rows vary like.

    Attributes:
        variances: along the axes, falling.
        axes: at most D×D, orthonormal.
        fourth: mean of the fourth powers of the rows' lengths.
    """

    variances: Doubles
    axes: Doubles
    fourth: float


def principal(chunks: Iterable[Doubles], count: int, width: int) -> Principal:
    """Return the principal components of N×D rows, about 0. What is held is D×D, or N×D if there are fewer rows than D.

    Args:
        chunks: the rows, some at a time.
        count: N.
        width: D.
    """
    fourth = 0.0
    if count < width:
        rows = np.concatenate(list(chunks))
        fourth = float(((rows**2).sum(axis=1) ** 2).mean())
        variances, vectors = np.linalg.eigh(rows @ rows.T / count)
        variances, vectors = np.maximum(variances[::-1], 0), vectors[:, ::-1]
        axes = (vectors / np.sqrt(np.maximum(variances * count, 1e-300))).T @ rows
        return Principal(variances, axes, fourth)
    scatter = np.zeros((width, width))
    for rows in chunks:
        scatter += rows.T @ rows
        fourth += float(((rows**2).sum(axis=1) ** 2).sum()) / count
    scatter /= count
    variances, vectors = np.linalg.eigh(scatter)
    del scatter
    return Principal(np.maximum(variances[::-1], 0), vectors[:, ::-1].T, fourth)


def shrinkage(found: Principal, count: int, width: int) -> tuple[float, float]:
    """Return how far to shrink a covariance towards a multiple of the identity, from 0 to 1, and that multiple.

    O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (2004).
    """
    mean = float(found.variances.sum() / width)
    squares = float((found.variances**2).sum())
    dispersion = squares - width * mean**2
    noise = (found.fourth - squares) / count
    return (min(max(noise / dispersion, 0.0), 1.0) if dispersion > 0 else 1.0), mean
