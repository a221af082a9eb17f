"""What a baseline measures with: directions, units and bins, which are chosen once and are the same for every window."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.bins import edges_of
from aiohooks.monitors.drift.cluster_shift import ClusterShift, jensen_shannon, population_stability
from aiohooks.monitors.drift.clusters import k_means
from aiohooks.monitors.drift.covariance import Floats, Spread, spread
from aiohooks.monitors.drift.event_arrays import LARGEST_FEATURE, EventArrays
from aiohooks.monitors.drift.histogram_shift import HistogramShift
from aiohooks.monitors.drift.label_shift import LabelShift
from aiohooks.monitors.drift.layout import (
    CLUSTERS,
    COMPONENTS,
    CONFIDENCE,
    FINE_WAVES,
    LABELS,
    NORM,
    PROBABILITIES,
    WAVES,
    Events,
    Layout,
    events_of,
    histogram,
)
from aiohooks.monitors.drift.mean_shift import MeanShift
from aiohooks.monitors.drift.measure import Measure
from aiohooks.monitors.drift.projection import RIDGE, Projection

_BINS = 20
_MOST_CLUSTERED = 32
_MEANS, _WAVES, _FINE_WAVES = "mean features", "random features", "fine features"
_LABELS, _IMAGE = "labels", "image"

# What a model predicts follows from its features, so that measures of it mostly see again what those of features see, and
# so does the mean of the features beside random ones; they weigh less, and cost little where they see nothing.
WEIGHTS: Mapping[str, float] = {
    _MEANS: 0.25, _WAVES: 1.0, _FINE_WAVES: 1.0, NORM: 1.0, CONFIDENCE: 0.125, _LABELS: 0.125, _IMAGE: 1.0,
}  # fmt: skip
"""Of the measures in a decision, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Instruments:
    """Turns events into what summaries add up, and summaries into measures.

    Attributes:
        projection: of features.
        waves: mean and covariance of the random features.
        fine_waves: of the fine ones.
        variances: (C,), of the probabilities of the labels; empty for a model without.
        edges: between the bins of the histograms, by name of the number.
        scales: (S, 2), mean and standard deviation of each of these numbers.
        centres: (K, k), of the clusters that PSI and JSD count.
        layout: of the sums.
        measures: what decisions follow from.
        shown: other distances.
    """

    projection: Projection
    waves: Spread
    fine_waves: Spread
    variances: Floats
    edges: Mapping[str, Floats]
    scales: Floats
    centres: Floats
    layout: Layout = field(init=False)
    measures: tuple[Measure, ...] = field(init=False)
    shown: tuple[Measure, ...] = field(init=False)

    def __post_init__(self) -> None:
        layout = Layout.of(
            components=len(self.projection.spread.deviations),
            waves=2 * self.projection.frequencies.shape[1],
            classes=len(self.variances),
            edges=self.edges,
            clusters=len(self.centres),
        )
        measures: list[Measure] = [
            MeanShift(_MEANS, layout[COMPONENTS]),
            MeanShift(_WAVES, layout[WAVES], self.waves),
            MeanShift(_FINE_WAVES, layout[FINE_WAVES], self.fine_waves),
            HistogramShift(NORM, (layout[histogram(NORM)],)),
        ]
        if len(self.variances):
            measures.append(HistogramShift(CONFIDENCE, (layout[histogram(CONFIDENCE)],)))
            measures.append(LabelShift(_LABELS, layout[PROBABILITIES], layout[LABELS], self.variances))
        of_image = tuple(layout[histogram(name)] for name in self.edges if name not in (NORM, CONFIDENCE))
        if of_image:
            measures.append(HistogramShift(_IMAGE, of_image))
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "measures", tuple(measures))
        distances = {"psi": population_stability, "jsd": jensen_shannon}
        shown = tuple(ClusterShift(name, layout[CLUSTERS], distance) for name, distance in distances.items())
        object.__setattr__(self, "shown", shown)

    @classmethod
    def fit(
        cls,
        events: EventArrays,
        *,
        components: int,
        random_features: int,
        clusters: int | None,
        rng: np.random.Generator,
    ) -> "Instruments":
        """Choose them for events; see `DriftBaseline.fit_arrays` for the rest.

        Raises:
            SpecError: all events have the same features.
        """
        if not (events.features != events.features[0]).any():
            raise SpecError("features: all events have the same; there is nothing to compare")
        projection = Projection.fit(events.features, components=components, waves=random_features, rng=rng)
        projected = projection(events.features)
        classes = 0 if events.probabilities is None else events.probabilities.shape[1]
        numbers = _numbers_of(events)
        return cls(
            projection=projection,
            waves=spread(projected.waves, ridge=RIDGE),
            fine_waves=spread(projected.fine_waves, ridge=RIDGE),
            variances=np.zeros(0) if events.probabilities is None else _variances(events.probabilities),
            edges={name: edges_of(values, _BINS) for name, values in numbers.items()},
            scales=np.array([(values.mean(), values.std() or 1.0) for values in numbers.values()]),
            centres=k_means(projected.positions, clusters or max(20, 2 * min(classes, _MOST_CLUSTERED)), rng),
        )

    @property
    def width(self) -> int:
        """How many features an event has."""
        return self.projection.width

    def project(self, events: EventArrays) -> Events:
        """Return what events add to a summary. Numpy's work: some tens of microseconds an event, in batches of 16 or more.

        Probabilities and image statistics may be missing, as None or NaN; features may not.

        Raises:
            SpecError: features are not usable, or an array has not the baseline's width.
        """
        if events.features.shape[1] != self.width:
            raise SpecError(f"features: the baseline has {self.width:,} of an event, not {events.features.shape[1]:,}")
        rows, classes = events.probabilities, len(self.variances)
        if rows is not None and classes and rows.shape[1] != classes:
            raise SpecError(f"probabilities: the baseline has {classes:,} labels, not {rows.shape[1]:,}")
        usable = events.usable()
        if not usable.all():
            raise SpecError(
                f"features: {np.count_nonzero(~usable):,} of {len(usable):,} events have some that are not finite, or beyond "
                f"{LARGEST_FEATURE:g}; leave these events out (`EventArrays.usable`)"
            )
        return events_of(
            self.projection(events.features),
            rows if classes else None,
            events.known(),
            _numbers_of(events),
            layout=self.layout,
            edges=self.edges,
            scales=self.scales,
            centres=self.centres,
        )

    def digest(self) -> bytes:
        """Return 32 bytes that others do not have."""
        digest = hashlib.sha256()
        arrays = (
            *self.projection.spread, self.projection.frequencies, self.projection.fine_frequencies, *self.waves, *self.fine_waves, self.variances, self.scales, self.centres, *self.edges.values()
        )  # fmt: skip
        for array in arrays:
            digest.update(repr(array.shape).encode() + array.astype("<f8").tobytes())
        digest.update(repr(list(self.edges)).encode())
        return digest.digest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return them as arrays of numbers; the names of ``edges`` are kept elsewhere."""
        return {f"edges_{index}": edges for index, edges in enumerate(self.edges.values())} | {
            "mean": self.projection.spread.mean,
            "directions": self.projection.spread.directions,
            "deviations": self.projection.spread.deviations,
            "frequencies": self.projection.frequencies,
            "fine_frequencies": self.projection.fine_frequencies,
            "wave_mean": self.waves.mean,
            "wave_directions": self.waves.directions,
            "wave_deviations": self.waves.deviations,
            "fine_wave_mean": self.fine_waves.mean,
            "fine_wave_directions": self.fine_waves.directions,
            "fine_wave_deviations": self.fine_waves.deviations,
            "variances": self.variances,
            "scales": self.scales,
            "centres": self.centres,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], numbers: Sequence[str]) -> "Instruments":
        """Return what `arrays` was made of.

        Args:
            arrays: by name.
            numbers: names of ``edges``.

        Raises:
            KeyError: an array is missing.
        """
        found = Spread(arrays["mean"], arrays["directions"], arrays["deviations"])
        return cls(
            Projection(found, arrays["frequencies"], arrays["fine_frequencies"]),
            Spread(arrays["wave_mean"], arrays["wave_directions"], arrays["wave_deviations"]),
            Spread(arrays["fine_wave_mean"], arrays["fine_wave_directions"], arrays["fine_wave_deviations"]),
            arrays["variances"],
            {name: arrays[f"edges_{index}"] for index, name in enumerate(numbers)},
            arrays["scales"],
            arrays["centres"],
        )


def _numbers_of(events: EventArrays) -> dict[str, Floats]:
    """Return the numbers whose histograms are kept, by name."""
    numbers = dict(events.image_stats)
    for name in (NORM, CONFIDENCE):
        if name in numbers:
            raise SpecError(f"image_stats[{name!r}]: the baseline has a number of its own by this name; choose another")
    numbers[NORM] = np.linalg.norm(events.features, axis=1)
    if events.probabilities is not None:
        numbers[CONFIDENCE] = np.where(events.known(), events.probabilities.max(1), np.nan)
    return numbers


def _variances(probabilities: Floats) -> Floats:
    """Return those of each label's probability, none so small that a single event of a rare label decides."""
    variances = probabilities.var(0)
    return np.asarray(np.maximum(variances, max(0.1 * variances.mean(), 1e-12)))
