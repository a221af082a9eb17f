"""The two distances that drift monitors usually show, over the clusters of a baseline.

Neither has a fixed value that means drift: both grow as windows get smaller, so that each is shown with the band in
which it lies by chance for the window's size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.measure import Totals


@dataclass(frozen=True, slots=True)
class ClusterShift:
    """How far apart the counts of the clusters are.

    Attributes:
        name: of the measure.
        where: the counts of the clusters.
        distance: of the counts (M, K) of windows and those of the reference, (M, K) or (1, K).
    """

    name: str
    where: slice
    distance: Callable[[Floats, Floats], Floats]

    def events(self, window: Totals) -> Floats:
        """Return how many events of each window it can judge: all."""
        return window.counts

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return the distance, (M,)."""
        return self.distance(window.sums[:, self.where], reference.sums[:, self.where])


def population_stability(window: Floats, reference: Floats) -> Floats:
    """Return the population stability index: Σ (q - p) ln(q / p) in nats, with one event added to every count; at least 0."""
    q, p = _frequencies(window + 1), _frequencies(reference + 1)
    return np.asarray(((q - p) * np.log(q / p)).sum(1))


def jensen_shannon(window: Floats, reference: Floats) -> Floats:
    """Return the root of the divergence with logarithms to base 2 (J. Lin, 1991), in [0, 1]."""
    q, p = _frequencies(window), _frequencies(reference)
    middle = (p + q) / 2
    return np.sqrt(np.clip((_divergence(p, middle) + _divergence(q, middle)) / 2, 0, 1))


def _frequencies(counts: Floats) -> Floats:
    return np.asarray(counts / counts.sum(1, keepdims=True), np.float64)


def _divergence(one: Floats, other: Floats) -> Floats:
    """Return that of Kullback and Leibler in bits, where ``other`` is never 0 unless ``one`` is."""
    ratio = np.divide(one, other, out=np.ones(np.broadcast_shapes(one.shape, other.shape)), where=one > 0)
    return np.asarray((one * np.log2(ratio)).sum(1))
