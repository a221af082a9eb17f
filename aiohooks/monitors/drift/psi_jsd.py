"""The two distances that drift monitors usually show, over the clusters of a baseline.

Neither has a fixed value that means drift: both grow as windows get smaller, so that each is shown with the band in
which it lies by chance for the window's size.
"""

from dataclasses import dataclass

import numpy as np

from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.measure import Totals


@dataclass(frozen=True, slots=True)
class PopulationStability:
    """Population stability index: Σ (q - p) ln(q / p), with one event added to every bin.

    Attributes:
        where: the counts of the clusters.
        name: of the measure.
    """

    where: slice
    name: str = "psi"

    def events(self, window: Totals) -> Floats:
        """Return how many events of each window it can judge: all."""
        return window.counts

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return it in nats, (M,); at least 0."""
        p, q = (_frequencies(totals.sums[:, self.where] + 1) for totals in (reference, window))
        return np.asarray(((q - p) * np.log(q / p)).sum(1))


@dataclass(frozen=True, slots=True)
class JensenShannon:
    """Jensen-Shannon distance: the root of the divergence with logarithms to base 2 (J. Lin, 1991).

    Attributes:
        where: the counts of the clusters.
        name: of the measure.
    """

    where: slice
    name: str = "jsd"

    def events(self, window: Totals) -> Floats:
        """Return how many events of each window it can judge: all."""
        return window.counts

    def __call__(self, window: Totals, reference: Totals) -> Floats:
        """Return it, (M,), in [0, 1]."""
        p, q = (_frequencies(totals.sums[:, self.where]) for totals in (reference, window))
        middle = (p + q) / 2
        return np.sqrt(np.clip((_divergence(p, middle) + _divergence(q, middle)) / 2, 0, 1))


def _frequencies(counts: Floats) -> Floats:
    return np.asarray(counts / counts.sum(1, keepdims=True), np.float64)


def _divergence(one: Floats, other: Floats) -> Floats:
    """Return that of Kullback and Leibler in bits, where ``other`` is never 0 unless ``one`` is."""
    ratio = np.divide(one, other, out=np.ones(np.broadcast_shapes(one.shape, other.shape)), where=one > 0)
    return np.asarray((one * np.log2(ratio)).sum(1))
