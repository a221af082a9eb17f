"""What of a window moved: which labels, which directions, which events."""

import math
from dataclasses import dataclass

import numpy as np

from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.layout import COMPONENTS, LABELS, NUMBERS, PROBABILITIES, UNIT, WAVES, Events, histogram
from aiohooks.monitors.drift.measure import Totals
from aiohooks.monitors.drift.summary import WindowSummary

_LEAST = 5


@dataclass(frozen=True, slots=True)
class ClassDrift:
    """The events of a window that have one label.

    Attributes:
        label: its index.
        count: of the events.
        share: of all events with a label.
        usual_share: in the baseline.
        p_value: of their features, against those of the baseline's events of this label; None where either are fewer than 5.
        adjusted: the p-value after Bonferroni's correction for the number of labels that have one; None as above.
    """

    label: int
    count: int
    share: float
    usual_share: float
    p_value: float | None
    adjusted: float | None


@dataclass(frozen=True, slots=True, eq=False)
class MovedDirection:
    """A principal direction of the features.

    Attributes:
        index: among the baseline's, widest first.
        moved: how far the window's mean moved along it, in standard deviations of one event.
        share: of all that moved, squared.
        direction: (D,), of length 1.
    """

    index: int
    moved: float
    share: float
    direction: Floats


def class_drift(baseline: DriftBaseline, window: WindowSummary, most: int | None = None) -> tuple[ClassDrift, ...]:
    """Return what became of each label, in the labels' order; nothing for a model without.

    Labels are those that the model predicts, so that events which drift may also change theirs.

    Args:
        baseline: what the window is compared with.
        window: any.
        most: so many of those whose share changed most, the first the most; by default all.

    Raises:
        SpecError: the summary is of another baseline.
    """
    baseline.check(window)
    layout = baseline.layout
    counts, usual = (summary.sums[layout[LABELS]] for summary in (window, baseline.reference))
    null = baseline.of_class.null
    p_values: list[float | None] = [None] * len(counts)
    if len(null.sizes):
        moments = [
            summary.sums[layout.measured :].reshape(layout.by_class) / UNIT for summary in (window, baseline.reference)
        ]
        judged = np.flatnonzero((counts >= max(_LEAST, null.sizes[0])) & (usual >= _LEAST))
        # As `DriftBaseline.totals`: no window counts as larger than those that were drawn.
        share = np.minimum(1, null.sizes[-1] / np.maximum(counts[judged], 1))
        values = baseline.of_class.measure(
            Totals(counts[judged] * share, moments[0][judged] * share[:, None]),
            Totals(usual[judged].astype(np.float64), moments[1][judged]),
        )
        for label, value in zip(judged.tolist(), values, strict=True):
            p_values[label] = float(null.p_values(np.array([value]), counts[[label]].astype(np.float64))[0])
    number = sum(p_value is not None for p_value in p_values)
    shares, usual_shares = (each / max(each.sum(), 1) for each in (counts, usual))
    chosen = range(len(counts)) if most is None else np.argsort(-np.abs(shares - usual_shares), kind="stable")[:most]
    found = []
    for label in map(int, chosen):
        p_value = p_values[label]
        adjusted = None if p_value is None else min(1.0, p_value * number)
        of_label = int(counts[label]), float(shares[label]), float(usual_shares[label])
        found.append(ClassDrift(label, *of_label, p_value, adjusted))
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class NumberDrift:
    """One number of each event, such as the brightness of the picture.

    Attributes:
        name: of the number.
        count: how many events of the window have it.
        mean: over the window, in the number's units; NaN where no event has it.
        usual_mean: in the baseline.
        usual_deviation: the standard deviation of one event in the baseline.
        edges: between the bins, (B - 1,).
        shares: of the window's events in each bin, (B,); NaN where no event has the number.
        usual_shares: in the baseline, (B,).
    """

    name: str
    count: int
    mean: float
    usual_mean: float
    usual_deviation: float
    edges: Floats
    shares: Floats
    usual_shares: Floats


def number_drift(baseline: DriftBaseline, window: WindowSummary) -> tuple[NumberDrift, ...]:
    """Return what became of each number: the features' norm, the confidence, and the image statistics.

    Raises:
        SpecError: the summary is of another baseline.
    """
    baseline.check(window)
    found = []
    for column, (name, edges) in enumerate(baseline.edges.items()):
        counts, usual = (each.sums[baseline.layout[histogram(name)]] for each in (window, baseline.reference))
        mean, deviation = (float(value) for value in baseline.instruments.scales[column])
        sums = [int(each.sums[baseline.layout[NUMBERS]][column]) / UNIT for each in (window, baseline.reference)]
        count, of_usual = int(counts.sum()), int(usual.sum())
        found.append(
            NumberDrift(
                name,
                count,
                mean + deviation * sums[0] / count if count else math.nan,
                mean + deviation * sums[1] / of_usual,
                deviation,
                edges,
                counts / count if count else np.full(len(counts), math.nan),
                usual / of_usual,
            )
        )
    return tuple(found)


def mean_probabilities(baseline: DriftBaseline, window: WindowSummary) -> tuple[Floats, Floats]:
    """Return the mean probability of each label in a window and in the baseline, (C,) each; NaN where no event has any.

    Raises:
        SpecError: the summary is of another baseline.
    """
    baseline.check(window)
    where, labels = baseline.layout[PROBABILITIES], baseline.layout[LABELS]
    with np.errstate(invalid="ignore"):
        one, other = (each.sums[where] / UNIT / each.sums[labels].sum() for each in (window, baseline.reference))
    return one, other


def moved_directions(baseline: DriftBaseline, window: WindowSummary, most: int = 5) -> tuple[MovedDirection, ...]:
    """Return the principal directions along which the mean of a window's features moved most, the first the most.

    Args:
        baseline: what the window is compared with.
        window: of at least one event.
        most: so many.

    Raises:
        SpecError: the summary is of another baseline.
    """
    moved = _moved(baseline, window)[: len(baseline.projection.spread.deviations)]
    squares = moved**2
    order = np.argsort(-squares, kind="stable")[:most]
    total = squares.sum() or 1.0
    directions = baseline.projection.spread.directions
    return tuple(
        MovedDirection(int(at), float(moved[at]), float(squares[at] / total), directions[:, at]) for at in order
    )


def contributions(baseline: DriftBaseline, window: WindowSummary, events: Events) -> Floats:
    """Return how much each event is of what moved a window, (N,): about 1 if it moved as the window's mean did.

    The largest are those of the events that show best what changed; those of clean events are about 0.

    Args:
        baseline: what the window is compared with.
        window: of at least one event.
        events: of that window, or any.

    Raises:
        SpecError: the summary is of another baseline.
    """
    moved = _moved(baseline, window)
    layout = baseline.layout
    reference = baseline.reference.sums[: layout.real] / UNIT / baseline.reference.count
    own = _whitened(baseline, events.real / UNIT - reference)
    return np.asarray(own @ moved / (moved @ moved or 1.0))


def _moved(baseline: DriftBaseline, window: WindowSummary) -> Floats:
    """Return how far the means of components and random features moved, in standard deviations of one event."""
    baseline.check(window)
    real = baseline.layout.real
    means = [each.sums[:real] / UNIT / max(each.count, 1) for each in (window, baseline.reference)]
    return np.asarray(_whitened(baseline, (means[0] - means[1])[None])[0])


def _whitened(baseline: DriftBaseline, rows: Floats) -> Floats:
    layout, waves = baseline.layout, baseline.instruments.waves
    of_waves = rows[:, layout[WAVES]] @ waves.directions / waves.deviations
    return np.asarray(np.concatenate([rows[:, layout[COMPONENTS]], of_waves], 1), np.float64)
