"""The covariance of few samples in many dimensions, as its principal directions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Spread(NamedTuple):
    """Mean and shrunk covariance of samples.

    Attributes:
        mean: (D,).
        directions: (D, k), orthonormal, widest first.
        deviations: (k,), the standard deviations along them, after shrinkage; above 0.
    """

    mean: Floats
    directions: Floats
    deviations: Floats


def spread(samples: Floats, most: int | None = None, ridge: float = 0.0) -> Spread:
    """Return the mean of samples and their covariance, shrunk towards a multiple of the identity.

    O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (2004).

    Args:
        samples: (N, D), finite, N at least 2.
        most: how many directions to return; by default all in which the samples differ.
        ridge: so much of the average variance is added to each, where the samples are to be trusted less than that.
    """
    count, width = samples.shape
    mean = samples.mean(0)
    centred = samples - mean
    # Of fewer samples than dimensions the small matrix of inner products has the same eigenvalues.
    wide = width > count
    gram = (centred @ centred.T if wide else centred.T @ centred) / count
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    kept = int(min(np.count_nonzero(values > values[0] * 1e-10), width if most is None else most))
    variances, directions = values[:kept], vectors[:, :kept]
    if wide:
        directions = centred.T @ (directions / np.sqrt(variances * count))
    average = values.sum() / width
    dispersion = (values**2).sum() - width * average**2
    squares = (np.einsum("ij,ij->i", centred, centred) ** 2).sum() / count**2
    noise = max(squares - (values**2).sum() / count, 0.0)
    shrinkage = min(noise / dispersion, 1.0) if dispersion > 0 else 1.0
    shrunk = (1 - shrinkage) * variances + shrinkage * average
    return Spread(mean, np.ascontiguousarray(directions), np.sqrt(shrunk + ridge * average))
