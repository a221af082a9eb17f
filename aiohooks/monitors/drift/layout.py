"""Which sum of a window's summary is what."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.bins import bin_of
from aiohooks.monitors.drift.clusters import nearest
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.projection import Projected

UNIT = 1 << 28
"""Real numbers are summed as whole multiples of 1 / UNIT, which is exact in any order; 64 × UNIT × 2²⁸ events still fit."""

COMPONENTS, WAVES, PROBABILITIES, LABELS, CLUSTERS = "components", "waves", "probabilities", "labels", "clusters"


def histogram(name: str) -> str:
    """Return the name of the section that counts the values of a number."""
    return f"histogram of {name}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The sections of a summary, one after the other: real numbers first, then counts.

    Attributes:
        sections: their places, by name.
        real: how many of the sums are real numbers.
        width: how many sums there are.
    """

    sections: Mapping[str, slice]
    real: int
    width: int

    @classmethod
    def of(cls, *, components: int, waves: int, classes: int, edges: Mapping[str, Floats], clusters: int) -> "Layout":
        """Lay out sections of these sizes; classes may be 0, for a model that gives no probabilities."""
        real = {COMPONENTS: components, WAVES: waves, PROBABILITIES: classes}
        counts = {LABELS: classes, CLUSTERS: clusters} | {histogram(name): len(at) + 1 for name, at in edges.items()}
        sections, start = {}, 0
        for name, size in (real | counts).items():
            sections[name] = slice(start, start + size)
            start += size
        return cls(sections, sum(real.values()), start)

    def __getitem__(self, name: str) -> slice:
        return self.sections[name]


@dataclass(frozen=True, slots=True)
class Events:
    """What N events add to a summary.

    Attributes:
        real: (N, R) in units of 1 / UNIT.
        counted: (N, S) int64, which counts they add one to; -1 for nothing.
        projected: of their features.
    """

    real: NDArray[np.int64]
    counted: NDArray[np.int64]
    projected: Projected

    def __len__(self) -> int:
        return len(self.real)

    def sums(self, width: int) -> NDArray[np.int64]:
        """Return the sums (P,) over all events."""
        counts = np.bincount(self.counted[self.counted >= 0], minlength=width)
        counts[: self.real.shape[1]] = self.real.sum(0)
        return counts

    def rows(self, width: int) -> NDArray[np.float32]:
        """Return what each event adds, (N, P), in units of 1."""
        rows = np.zeros((len(self), width), np.float32)
        rows[:, : self.real.shape[1]] = self.real / UNIT
        event, which = np.nonzero(self.counted >= 0)
        rows[event, self.counted[event, which]] = 1
        return rows


def events_of(
    projected: Projected,
    probabilities: Floats | None,
    numbers: Mapping[str, Floats],
    *,
    layout: Layout,
    edges: Mapping[str, Floats],
    centres: Floats,
) -> Events:
    """Turn what is known of N events into what they add.

    Args:
        projected: their features.
        probabilities: (N, C), with rows of NaN where an event has none; None if no event has any.
        numbers: (N,) by name, with NaN where an event has none; names that are not there are missing throughout.
        layout: of the summary.
        edges: between the bins of the histograms, by name.
        centres: (K, k), of the clusters of positions.
    """
    count = len(projected.components)
    classes = layout[PROBABILITIES].stop - layout[PROBABILITIES].start
    counted = [layout[CLUSTERS].start + nearest(projected.positions, centres)]
    if probabilities is None or not classes:
        probabilities = np.zeros((count, classes))
    else:
        known = np.isfinite(probabilities).all(1) & (probabilities > 0).any(1)
        probabilities = np.where(known[:, None], probabilities, 0.0)
        counted.append(np.where(known, layout[LABELS].start + probabilities.argmax(1), -1))
    for name, at in edges.items():
        if name in numbers:
            found = bin_of(numbers[name], at)
            counted.append(np.where(found >= 0, layout[histogram(name)].start + found, -1))
    real = np.concatenate([projected.components, projected.waves, probabilities], 1)
    return Events(np.rint(real * UNIT).astype(np.int64), np.stack(counted, 1), projected)
