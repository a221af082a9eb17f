"""Histograms of one number per event, with bins that the baseline fills alike."""

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.covariance import Floats


def edges_of(values: Floats, bins: int) -> Floats:
    """Return edges between bins at the quantiles of values, each once; one value alone gets a bin of its own.

    Args:
        values: (N,); those that are not finite are left out.
        bins: at most so many.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return np.zeros(0)
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    if len(edges) < bins - 1:
        # A value that many events share is between two edges, so that both less and more of it show.
        edges = np.unique(np.concatenate([edges, np.nextafter(edges, np.inf)]))
    return edges


def bin_of(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the bin of each value, from 0 to ``len(edges)``; -1 for those that are not finite."""
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)
