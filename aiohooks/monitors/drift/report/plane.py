"""A map: where events of a baseline and of windows are, in two dimensions."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.charts import Axis, Chart, Plot
from aiohooks.errors import SpecError
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.layout import CLUSTERS
from aiohooks.monitors.drift.report.findings import Finding, Findings

Projection = Literal["pca", "umap"]

LARGEST = 24.0
"""Radius of a circle that holds all events, in pixels."""

_SIDE = 480
_NEIGHBOURS = 15


class Plane(NamedTuple):
    """A map, and where on it things are, in pixels from its upper left corner.

    Attributes:
        plot: with the baseline drawn on it.
        centres: (K, 2), of the baseline's clusters.
        means: (W, 2), of the windows; NaN where that is not known.
        points: (P, 2) of each window, some of its events.
        projection: how it came about.
    """

    plot: Plot
    centres: Floats
    means: Floats
    points: tuple[Floats, ...]
    projection: Projection


def plane_of(findings: Findings, projection: Projection = "pca") -> Plane:
    """Return the map of a report.

    Args:
        findings: of at least one window.
        projection: ``pca``: the plane in which the events of the baseline and the windows' means lie farthest apart; ``umap``: neighbours
            stay neighbours (L. McInnes, J. Healy, J. Melville, 2018), which needs ``pip install "aiohooks[umap]"``.

    Raises:
        SpecError: UMAP is not installed, or there are too few events one by one for it.
    """
    baseline = findings.baseline
    sample = baseline.sample.positions.astype(np.float64)
    points = [window.points.astype(np.float64) for window in findings.windows]
    if projection == "umap":
        flat = _neighbours_kept([sample, baseline.instruments.centres, *points])
        means = [np.full((len(findings.windows), 2), np.nan)]
    else:
        axes = _axes(baseline, findings.windows)
        flat = [each @ axes for each in (sample, baseline.instruments.centres, *points)]
        means = [np.stack([window.position for window in findings.windows]) @ axes]
    here, centres, *there = flat
    x, y = (Axis.over(*(each[:, axis] for each in (here, centres, *there, *means)), margin=0.08) for axis in (0, 1))
    plot = Plot(
        "Map", x, y, width=_SIDE, height=_SIDE - 80, description="Events of the baseline, and its clusters as circles"
    )
    plot.points(here[:, 0], here[:, 1], label="baseline", color=5, radius=2)
    places = np.array([plot.place(*each) for each in centres])
    return Plane(
        plot,
        places,
        np.array([plot.place(*each) if np.isfinite(each).all() else (np.nan, np.nan) for each in means[0]]),
        tuple(np.array([plot.place(*each) for each in some]).reshape(-1, 2) for some in there),
        projection,
    )


def map_chart(findings: Findings, window: int, projection: Projection = "pca") -> Chart:
    """Return a map with one window on it.

    Args:
        findings: of the report.
        window: which of its windows, from 0.
        projection: as of `plane_of`.
    """
    plane = plane_of(findings, projection)
    svg = plane.plot.chart().svg
    drawn = "".join(circles(plane, findings.baseline) + _window(plane, findings.windows[window], window))
    inner, outer = svg.rsplit("</svg></svg>", 1)
    return Chart(f"{inner}{drawn}</svg></svg>{outer}")


def circles(plane: Plane, baseline: DriftBaseline) -> list[str]:
    """Return the clusters of the baseline as circles with an area as their share, in SVG."""
    return _circles(plane.centres, baseline.reference.sums[baseline.layout[CLUSTERS]], "var(--chart-6,#56a0d3)")


def _circles(centres: Floats, counts: NDArray[np.int64], color: str) -> list[str]:
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{LARGEST * np.sqrt(share):.1f}" fill="none" style="stroke:{color}" stroke-width="2"/>'
        for (x, y), share in zip(centres, shares(counts), strict=True)
        if share > 0
    ]


def _window(plane: Plane, window: Finding, index: int) -> list[str]:
    """Return a window's clusters, its events, and its mean, in SVG."""
    found = _circles(plane.centres, window.clusters, "var(--chart-2,#d55e00)")
    found += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" style="fill:var(--chart-2,#d55e00)"/>'
        for x, y in plane.points[index]
    ]
    x, y = plane.means[index]
    if np.isfinite(x):
        found.append(
            f'<path d="M{x - 7:.1f} {y:.1f}h14M{x:.1f} {y - 7:.1f}v14" style="stroke:var(--chart-2,#d55e00)" stroke-width="3"/>'
        )
    return found


def shares(counts: NDArray[np.int64]) -> Floats:
    """Return counts as parts of their sum; zeros if that is 0."""
    return np.asarray(counts / max(int(counts.sum()), 1))


def _axes(baseline: DriftBaseline, windows: Sequence[Finding]) -> Floats:
    """Return the two principal axes (k, 2) of the events of the baseline and of the windows, had each of them as many."""
    variances = baseline.projection.spread.deviations**2
    means = np.stack([window.position for window in windows if np.isfinite(window.position).all()] or [variances * 0])
    total = np.diag(variances) + means.T @ means / len(means)
    axes = np.linalg.eigh(total)[1][:, :-3:-1]
    if axes.shape[1] < 2:
        axes = np.hstack([axes, np.zeros_like(axes)])
    # A direction and its opposite are the same axis; the larger part is to point to the right.
    largest = axes[np.abs(axes).argmax(0), range(2)]
    return np.asarray(axes * np.where(largest < 0, -1, 1))


def _neighbours_kept(parts: Sequence[Floats]) -> list[Floats]:
    try:
        import umap
    except ModuleNotFoundError:
        raise SpecError('this map is drawn with UMAP: pip install "aiohooks[umap]"') from None
    together = np.concatenate(parts)
    if len(together) <= _NEIGHBOURS:
        raise SpecError(f"UMAP needs more than {_NEIGHBOURS} events, and {len(together)} are known one by one")
    flat = umap.UMAP(n_neighbors=_NEIGHBOURS, random_state=0, n_jobs=1).fit_transform(together.astype(np.float32))
    return [np.asarray(each, np.float64) for each in np.split(flat, np.cumsum([len(part) for part in parts])[:-1])]
