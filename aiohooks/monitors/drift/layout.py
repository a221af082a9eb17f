"""Which sum of a window's summary is what."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.bins import bin_of
from aiohooks.monitors.drift.clusters import nearest
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.projection import MOST_DEVIATIONS, Projected

UNIT = 1 << 28
"""Real numbers are summed as whole multiples of 1 / UNIT, which is exact in any order; 64 × UNIT × 2²⁸ events still fit."""

COMPONENTS, WAVES, FINE_WAVES, PROBABILITIES, NUMBERS = "components", "waves", "fine waves", "probabilities", "numbers"
LABELS, CLUSTERS = "labels", "clusters"
NORM, CONFIDENCE = "feature norm", "confidence"
"""Numbers that every event of a model, or every event with probabilities, has."""


_MOST_OF_EACH, _MOST_BY_CLASS = 16, 1024


def histogram(name: str) -> str:
    """Return the name of the section that counts the values of a number."""
    return f"histogram of {name}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The sections of a summary, one after the other: real numbers first, then counts.

    Attributes:
        sections: their places, by name.
        real: how many of the sums are real numbers over all events.
        measured: how many sums are over all events.
        by_class: real numbers again, over the events of each label alone: the first of the components, (C, r).
    """

    sections: Mapping[str, slice]
    real: int
    measured: int
    by_class: tuple[int, int]

    @property
    def width(self) -> int:
        """How many sums there are."""
        return self.measured + self.by_class[0] * self.by_class[1]

    @classmethod
    def of(cls, *, components: int, waves: int, classes: int, edges: Mapping[str, Floats], clusters: int) -> "Layout":
        """Lay out sections of these sizes, with waves of two kinds; classes may be 0, for a model that gives no probabilities."""
        real = {COMPONENTS: components, WAVES: waves, FINE_WAVES: waves, PROBABILITIES: classes, NUMBERS: len(edges)}
        counts = {LABELS: classes, CLUSTERS: clusters} | {histogram(name): len(at) + 1 for name, at in edges.items()}
        sections, start = {}, 0
        for name, size in (real | counts).items():
            sections[name] = slice(start, start + size)
            start += size
        of_each = min(_MOST_OF_EACH, components, _MOST_BY_CLASS // classes) if classes else 0
        return cls(sections, sum(real.values()), start, (classes, of_each))

    def __getitem__(self, name: str) -> slice:
        return self.sections[name]


@dataclass(frozen=True, slots=True)
class Events:
    """What N events add to a summary.

    Attributes:
        real: (N, R) in units of 1 / UNIT.
        counted: (N, S) int64, which counts they add one to; -1 for nothing.
        labels: (N,) int64, the most probable ones; -1 for none.
    """

    real: NDArray[np.int64]
    counted: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.real)

    def take(self, which: NDArray[np.int64] | slice) -> "Events":
        """Return some of the events."""
        return Events(self.real[which], self.counted[which], self.labels[which])

    def sums(self, layout: Layout) -> NDArray[np.int64]:
        """Return the sums (P,) over all events."""
        sums = np.bincount(self.counted[self.counted >= 0], minlength=layout.width)
        sums[: layout.real] = self.real.sum(0)
        classes, of_each = layout.by_class
        if of_each:
            by_class = np.zeros((classes, of_each), np.int64)
            known = self.labels >= 0
            np.add.at(by_class, self.labels[known], self.real[known, :of_each])
            sums[layout.measured :] = by_class.reshape(-1)
        return sums

    def rows(self, layout: Layout) -> NDArray[np.float32]:
        """Return what each event adds to the sums over all events, (N, P), in units of 1."""
        rows = np.zeros((len(self), layout.measured), np.float32)
        rows[:, : layout.real] = self.real / UNIT
        event, which = np.nonzero(self.counted >= 0)
        rows[event, self.counted[event, which]] = 1
        return rows

    def bins(self, where: slice) -> NDArray[np.int64]:
        """Return the bin of each event in the histogram there, (N,); -1 for none."""
        inside = (self.counted >= where.start) & (self.counted < where.stop)
        return np.where(inside.any(1), ((self.counted - where.start) * inside).sum(1), -1)


def events_of(
    projected: Projected,
    probabilities: Floats | None,
    known: NDArray[np.bool_],
    numbers: Mapping[str, Floats],
    *,
    layout: Layout,
    edges: Mapping[str, Floats],
    scales: Floats,
    centres: Floats,
) -> Events:
    """Turn what is known of N events into what they add.

    Args:
        projected: their features.
        probabilities: (N, C); None if no event has any.
        known: (N,), which events have some.
        numbers: (N,) by name, with NaN where an event has none; names that are not there are missing throughout.
        layout: of the summary.
        edges: between the bins of the histograms, by name.
        scales: (S, 2), mean and standard deviation of each of these numbers in the baseline.
        centres: (K, k), of the clusters of positions.
    """
    count = len(projected.components)
    classes = layout[PROBABILITIES].stop - layout[PROBABILITIES].start
    counted = [layout[CLUSTERS].start + nearest(projected.positions, centres)]
    labels = np.full(count, -1)
    if probabilities is None or not classes:
        probabilities = np.zeros((count, classes))
    else:
        probabilities = np.where(known[:, None], np.clip(probabilities, 0, 1), 0.0)
        labels = np.where(known, probabilities.argmax(1), -1)
        counted.append(np.where(known, layout[LABELS].start + labels, -1))
    standard = np.zeros((count, len(edges)))
    for column, (name, at) in enumerate(edges.items()):
        if name in numbers:
            found = bin_of(numbers[name], at)
            counted.append(np.where(found >= 0, layout[histogram(name)].start + found, -1))
            mean, deviation = scales[column]
            deviations = np.clip((numbers[name] - mean) / deviation, -MOST_DEVIATIONS, MOST_DEVIATIONS)
            standard[:, column] = np.where(found >= 0, deviations, 0.0)
    real = np.concatenate([projected.components, projected.waves, projected.fine_waves, probabilities, standard], 1)
    return Events(np.rint(real * UNIT).astype(np.int64), np.stack(counted, 1), labels)
