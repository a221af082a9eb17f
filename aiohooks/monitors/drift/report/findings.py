"""What a report tells, as plain data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import Bin
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.decision import WindowDecision
from aiohooks.monitors.drift.example import Example
from aiohooks.monitors.drift.insights import ClassDrift, MovedDirection


class NumberSpread(NamedTuple):
    """Of a number per event, from its histogram: beyond the outermost edges of the baseline's bins nothing is told apart.

    Attributes:
        low: 10 % of events are below; never above the mean.
        mean: of all events.
        high: 90 % are below; never below the mean.
    """

    low: float
    mean: float
    high: float


class SegmentFinding(NamedTuple):
    """A segment within a window, or in all.

    Attributes:
        name: of the segment; empty for events of none.
        events: how many.
        decision: about them.
    """

    name: str
    events: int
    decision: WindowDecision


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One window.

    Attributes:
        start: in seconds since the epoch.
        end: likewise.
        events: how many good ones.
        refused: how many others.
        problems: what was wrong, how often.
        decision: about the window.
        labels: (C,), how many events have each label.
        clusters: (K,), how many are nearest to each of the baseline's clusters.
        position: (k,), mean along the principal directions, in the units of the features; NaN without events.
        numbers: of the pictures and the model, by name.
        moved: directions that moved most.
        classes: labels whose share changed most.
        truth: of how many the true label is known, and of how many it is the predicted one.
        examples: pictures.
        segments: each by itself, where there is more than one.
        points: float32 (P, k), some of the events, along the principal directions; none, unless the monitor kept events.
    """

    start: int
    end: int
    events: int
    refused: int
    problems: Counter[str]
    decision: WindowDecision
    labels: NDArray[np.int64]
    clusters: NDArray[np.int64]
    position: Floats
    numbers: Mapping[str, NumberSpread]
    moved: Sequence[MovedDirection]
    classes: Sequence[ClassDrift]
    truth: tuple[int, int]
    examples: tuple[Example, ...]
    segments: tuple[SegmentFinding, ...]
    points: NDArray[np.float32]

    @property
    def surprise(self) -> float:
        """How unlikely the window is by chance, as -log10 p; NaN without a decision."""
        return surprise_of(self.decision)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What a database tells of a period.

    Attributes:
        source: name of the database.
        baseline: what windows are compared with.
        length: of the windows, but for old ones that are kept in longer ones only.
        version: of the model that this is about.
        windows: in the order of their start.
        alerts: for windows of that model, in the order of their start.
        labels: names of the classes; as many as the baseline has.
        whole: about all windows together.
        segments: about all windows of each segment.
        versions: about all windows of each version of the model, this one and others.
        left_out: how many segments are not told of by themselves.
        usual_numbers: those of the baseline, by name.
    """

    source: str
    baseline: DriftBaseline
    length: Bin
    version: str
    windows: tuple[Finding, ...]
    alerts: tuple[DriftAlert, ...]
    labels: tuple[str, ...]
    whole: WindowDecision
    segments: tuple[SegmentFinding, ...] = ()
    versions: tuple[SegmentFinding, ...] = ()
    left_out: int = 0
    usual_numbers: Mapping[str, NumberSpread] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many good events there were."""
        return sum(window.events for window in self.windows)

    @property
    def refused(self) -> int:
        """How many others."""
        return sum(window.refused for window in self.windows)


MOST_SURPRISE = 12.0
"""Beyond, it makes no difference how unlikely something is."""


def surprise_of(decision: WindowDecision) -> float:
    """Return -log10 of the p-value, at most `MOST_SURPRISE`; NaN without one."""
    if decision.p_value is None:
        return float("nan")
    return float(min(-np.log10(max(decision.p_value, 1e-300)), MOST_SURPRISE) + 0.0)
