"""The charts of a report."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aiohooks.charts import Axis, Chart, Plot
from aiohooks.monitors.drift.alert import DriftAlert, Kind
from aiohooks.monitors.drift.bin import end_of
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.decision import MeasureResult
from aiohooks.monitors.drift.layout import LABELS
from aiohooks.monitors.drift.report.findings import MOST_SURPRISE, Finding, Findings, SegmentFinding, surprise_of

MOST_MARKS = 200
"""Alerts of each kind that are marked in a chart; of more, the latest."""

MOST_LABELS = 4
"""Labels whose share is drawn."""

MOST_LINES = 4
"""Segments that are drawn."""

_ROOM, _PARTS = 420, 12
_COLORS: dict[Kind, int] = {"critical": 1, "warning": 4, "recovered": 2}
_ON_DRIFT = frozenset({"drift", "stream"})


def charts_of(findings: Findings) -> dict[str, Chart]:
    """Return the charts over time, by name: ``drift``, the measures', ``traffic``, ``class mix``, numbers, and others where there are any.

    Args:
        findings: of at least one window.
    """
    drawing = _Drawing(findings)
    charts = {"drift": drawing.drift(), "drift, wide": drawing.drift(1000, 320)}
    # The features' norm is a number of each event, and a measure of windows.
    charts |= {
        f"drift of {name}" if name in findings.usual_numbers else name: drawing.measure(name)
        for name in drawing.measures
    }
    charts["traffic"] = drawing.traffic()
    if findings.labels:
        charts["class mix"] = drawing.class_mix()
    charts |= {name: drawing.number(name) for name in findings.usual_numbers if drawing.changes(name)}
    if any(window.truth[0] for window in findings.windows):
        charts["true labels"] = drawing.truth()
    if findings.segments:
        charts["segments"] = drawing.segments()
    return charts


class _Drawing:
    """Windows side by side; where there is none, lines have a gap."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._windows = _with_gaps(findings.windows)
        first, last = findings.windows[0], findings.windows[-1]
        self._x = Axis(float(first.start), float(last.end), kind="time")
        self._xs = np.array([math.nan if one is None else (one.start + one.end) / 2 for one in self._windows])
        decided = next((one.decision for one in findings.windows if one.decision.measures), None)
        self.measures = () if decided is None else tuple(one.name for one in (*decided.measures, *decided.shown))

    def changes(self, number: str) -> bool:
        """Say whether windows know a number of their events, and it is not always the same."""
        usual = self._findings.usual_numbers[number]
        found = [one.numbers[number] for one in self._findings.windows if number in one.numbers]
        known = [one for one in found if math.isfinite(one.mean)]
        return bool(known) and (
            usual.high - usual.low > 1e-9 or any(abs(one.mean - usual.mean) > 1e-9 for one in known)
        )

    def drift(self, width: int = 480, height: int = 240) -> Chart:
        """Draw how unlikely windows are by chance."""
        ys = np.array([math.nan if one is None else one.surprise for one in self._windows])
        top = min(max(4.0, float(np.nanmax(ys)) if np.isfinite(ys).any() else 4.0) * 1.05, MOST_SURPRISE * 1.05)
        plot = Plot(
            "Drift", self._x, Axis(0.0, top, "−log₁₀ p, all measures together"), width=width, height=height,
            description="How unlikely each window is by chance; 2 is one window in a hundred",
        )  # fmt: skip
        level = -math.log10(0.05)
        plot.band([self._x.low, self._x.high], [0, 0], [level, level], label="usual", color=2)
        plot.line(self._xs, ys, label="windows")
        self._mark(plot, [alert for alert in self._findings.alerts if alert.metric in _ON_DRIFT])
        return plot.chart()

    def measure(self, name: str) -> Chart:
        """Draw a measure, and where it is by chance in windows of the same size."""
        results = [_result(window, name) for window in self._windows]
        ys, usual = (
            np.array([math.nan if one is None or getattr(one, what) is None else getattr(one, what) for one in results])
            for what in ("value", "usual")
        )
        y = Axis.over(ys, usual, [0.0], margin=0.05)
        plot = Plot(
            _TITLES.get(name, name.capitalize()),
            self._x,
            Axis(min(0.0, y.low), y.high, _DISTANCES.get(name, "1 is usual")),
        )
        plot.band(
            self._xs,
            np.where(np.isfinite(usual), min(0.0, y.low), np.nan),
            usual,
            label="usual",
            color=2,
        )
        plot.line(self._xs, ys, label="windows")
        self._mark(plot, [alert for alert in self._findings.alerts if alert.metric == name])
        return plot.chart()

    def traffic(self) -> Chart:
        """Draw how many events there were."""
        counts = [(0, 0) if one is None else (one.events, one.refused) for one in self._windows]
        plot = Plot(
            "Traffic", self._x, Axis(0.0, max(1, *map(sum, counts)) * 1.05, f"events, by the {self._findings.length}")
        )
        edges = self._edges()
        plot.bars(edges, [events for events, _ in counts], label="good")
        if self._findings.refused:
            plot.bars(edges, [refused for _, refused in counts], label="refused", color=1)
        self._mark(plot, [alert for alert in self._findings.alerts if alert.metric in ("events", "refused")])
        return plot.chart()

    def class_mix(self) -> Chart:
        """Draw the shares of the labels that changed most, or that are most frequent."""
        baseline = self._findings.baseline
        usual = _shares(baseline.reference.sums[baseline.layout[LABELS]][None])[0]
        counts = np.stack([self._labels(one) for one in self._windows])
        shares = _shares(counts)
        # Some windows together: of a single small one, chance decides.
        together = np.stack([part.sum(0) for part in np.array_split(counts, min(_PARTS, len(counts)))])
        change = np.nan_to_num(np.abs(_shares(together) - usual)).max(0)
        chosen = np.argsort(-change, kind="stable")[:MOST_LABELS]
        plot = Plot(
            "Class mix",
            self._x,
            Axis.over([0.0], shares[:, chosen], usual[chosen], label="share of events", margin=0.03),
        )
        for color, label in enumerate(chosen):
            plot.level(float(usual[label]), color=color)
            plot.line(self._xs, shares[:, label], label=_short(self._findings.labels[label], len(chosen)), color=color)
        return plot.chart()

    def number(self, name: str) -> Chart:
        """Draw the mean and the middle four fifths of a number of events, and those of the baseline."""
        usual = self._findings.usual_numbers[name]
        found = [None if one is None else one.numbers.get(name) for one in self._windows]
        low, mean, high = (np.array([math.nan if one is None else one[part] for one in found]) for part in range(3))
        plot = Plot(name.capitalize(), self._x, Axis.over(low, high, usual, label=_UNITS.get(name, ""), margin=0.08))
        ends = [self._x.low, self._x.high]
        plot.band(ends, [usual.low] * 2, [usual.high] * 2, label="baseline, 10–90 %", color=2)
        plot.band(self._xs, low, high, label="windows, 10–90 %")
        plot.line(self._xs, mean, label="mean")
        return plot.chart()

    def truth(self) -> Chart:
        """Draw how many of the events whose true label is known were labelled so."""
        shares = [
            one.truth[1] / one.truth[0] if one is not None and one.truth[0] else math.nan for one in self._windows
        ]
        plot = Plot("Agreement with true labels", self._x, Axis(0.0, 1.0, "share of those known"))
        plot.line(self._xs, shares)
        return plot.chart()

    def segments(self) -> Chart:
        """Draw the drift of each of the segments with most events."""
        most = sorted(self._findings.segments, key=lambda one: -one.events)[:MOST_LINES]
        series = [np.array([_surprise(window, one.name) for window in self._windows]) for one in most]
        known = np.concatenate(series)
        top = max(4.0, float(np.nanmax(known)) if np.isfinite(known).any() else 4.0) * 1.05
        plot = Plot("Drift by segment", self._x, Axis(0.0, top, "−log₁₀ p"))
        level = -math.log10(0.05)
        plot.band([self._x.low, self._x.high], [0, 0], [level, level], color=2)
        for color, (one, ys) in enumerate(zip(most, series, strict=True)):
            plot.line(self._xs, ys, label=_short(one.name or "(none)", len(most)), color=color)
        return plot.chart()

    def _edges(self) -> list[float]:
        edges = [self._x.low]
        for index, window in enumerate(self._windows):
            after = self._windows[index + 1] if index + 1 < len(self._windows) else None
            if window is not None:
                edges.append(float(window.end))
            elif after is not None:
                edges.append(float(after.start))
        return edges

    def _labels(self, window: Finding | None) -> NDArray[np.int64]:
        return np.zeros(len(self._findings.labels), np.int64) if window is None else window.labels

    def _mark(self, plot: Plot, alerts: Sequence[DriftAlert]) -> None:
        for kind, color in _COLORS.items():
            of_kind = [alert for alert in alerts if alert.kind == kind][-MOST_MARKS:]
            if of_kind:
                at = [(alert.start + end_of(alert.start, alert.bin)) / 2 for alert in of_kind]
                plot.marks(at, label=kind, color=color, names=[alert.message for alert in of_kind])


_TITLES = {"psi": "PSI", "jsd": "Jensen-Shannon distance"}
_DISTANCES = {"psi": "nats, over clusters", "jsd": "over clusters"}
_UNITS = {"brightness": "0–1", "width": "pixels", "height": "pixels", "confidence": "0–1", "ood_score": "0–1"}


def _with_gaps(windows: Sequence[Finding]) -> list[Finding | None]:
    def gaps() -> Iterator[Finding | None]:
        end = windows[0].start
        for window in windows:
            if window.start > end:
                yield None
            yield window
            end = window.end

    return list(gaps())


def _result(window: Finding | None, name: str) -> MeasureResult | None:
    if window is None:
        return None
    return next((one for one in (*window.decision.measures, *window.decision.shown) if one.name == name), None)


def _surprise(window: Finding | None, segment: str) -> float:
    if window is None:
        return math.nan
    found: SegmentFinding | None = next((one for one in window.segments if one.name == segment), None)
    return math.nan if found is None else surprise_of(found.decision)


def _shares(counts: NDArray[np.int64]) -> Floats:
    total = counts.sum(1, keepdims=True).astype(np.float64)
    total[total == 0] = np.nan
    return np.asarray(counts / total)


def _short(name: str, names: int) -> str:
    """Return a name that leaves room for others in a key."""
    most = max(4, int((_ROOM / names - 34) / 5.8))
    return name if len(name) <= most else f"{name[: most - 1]}…"
