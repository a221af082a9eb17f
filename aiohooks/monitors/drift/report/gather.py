"""Reads the findings of a period from a drift monitor's database."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift.alert_book import AlertBook
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import BINS, SECONDS, Bin, start_of
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.insights import ClassDrift, NumberDrift, class_drift, moved_directions, number_drift
from aiohooks.monitors.drift.layout import CLUSTERS, COMPONENTS, LABELS, UNIT
from aiohooks.monitors.drift.report.findings import Finding, Findings, NumberSpread, SegmentFinding
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.summary import HEAD_BYTES, WindowSummary, count_in
from aiohooks.monitors.drift.window import Window

MOST_BINS = 800
"""Windows of a report: more could not be told apart in a chart."""

ENOUGH_EVENTS = 20
"""Of a window, on average: fewer say little about it."""

MOST_SEGMENTS = 12

MOST_POINTS = 60
"""Events of a window that are shown one by one, where events are kept."""

_MOST_BYTES = 300_000
_DIRECTIONS, _CLASSES = 3, 6


def gather(
    database: Path,
    *,
    length: Bin | None = None,
    since: float = -np.inf,
    until: float = np.inf,
    version: str | None = None,
    labels: Sequence[str] = (),
) -> Findings:
    """Read what a database tells of a period. Blocks; a monitor may be writing to it.

    Args:
        database: of a drift monitor.
        length: of the windows; by default the shortest that gives no more than `MOST_BINS`, with `ENOUGH_EVENTS` on average.
        since: beginning of the period, in seconds since the epoch.
        until: its end.
        version: of the model; by default the one that had the latest events.
        labels: names of the classes; by default those that the monitor knew.

    Raises:
        LoadError: the file is no such database, or is newer, or its baseline is not in it.
        SpecError: there are no windows in that period.
        DeliveryError: it cannot be read.
    """
    store = DriftStore.read(database)
    try:
        baseline = _baseline(store, database)
        reader = _Reader(store, baseline, max(since, -(2.0**62)), min(until, 2.0**62))
        version = reader.version(version)
        length = reader.length(version, length)
        return reader.findings(version, length, labels or store.labels, database.name)
    finally:
        store.close()


def _baseline(store: DriftStore, database: Path) -> DriftBaseline:
    data = store.baseline_file()
    if data is None:
        raise LoadError(f"{database}: the baseline is not in this database; open it with a DriftMonitor once")
    # It is mapped into memory; where a file in use cannot be removed, it stays until the system tidies up.
    with TemporaryDirectory(prefix="aiohooks-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "baseline"
        path.write_bytes(data)
        return DriftBaseline.load(path)


class _Reader:
    """Reads one period of a database."""

    def __init__(self, store: DriftStore, baseline: DriftBaseline, since: float, until: float) -> None:
        self._store, self._baseline = store, baseline
        self._since, self._until = since, until
        self._connection = store.database.connection
        self._of_period = (int(np.ceil(since)), int(np.ceil(until)))

    def version(self, wanted: str | None) -> str:
        """Return the model that is asked for, or the latest."""
        rows = self._connection.execute(
            "SELECT version FROM windows WHERE summary IS NOT NULL AND start >= ? AND start < ? GROUP BY version "
            "ORDER BY max(start), version",
            self._of_period,
        )
        found = [name for (name,) in rows]
        if not found:
            raise SpecError(f"{self._store.database.path}: there are no windows in that period")
        if wanted is not None and wanted not in found:
            raise SpecError(
                f"{self._store.database.path}: there is no model {wanted!r} in that period, but {', '.join(found)}"
            )
        return found[-1] if wanted is None else wanted

    def length(self, version: str, wanted: Bin | None) -> Bin:
        """Return the length of windows that is asked for, or the shortest that makes no more than are of use, with enough events each."""
        rows = self._connection.execute(
            "SELECT start, seconds, substr(summary, 1, ?) FROM windows WHERE summary IS NOT NULL AND version = ? AND start >= ? AND start < ?",
            (HEAD_BYTES, version, *self._of_period),
        ).fetchall()
        first, last = min(start for start, *_ in rows), max(start + seconds for start, seconds, _ in rows)
        fitting = [each for each in BINS if (last - start_of(first, each)) / SECONDS[each] <= MOST_BINS] or ["week"]
        if wanted is None:
            events = sum(count_in(head) for *_, head in rows)
            enough = [
                each for each in fitting if events >= ENOUGH_EVENTS * len({start_of(start, each) for start, *_ in rows})
            ]
            return (enough or fitting)[0]
        if wanted not in fitting:
            raise SpecError(
                f"windows by the {wanted} are too many for this period: at most {MOST_BINS}; take {fitting[0]}s, or a shorter period"
            )
        return wanted

    def segments(self, version: str) -> tuple[list[str], int]:
        """Return the segments to tell of, those with most windows, and how many others there are; none if there is only one."""
        rows = self._connection.execute(
            "SELECT segment FROM windows WHERE summary IS NOT NULL AND version = ? AND start >= ? AND start < ? GROUP BY segment "
            "ORDER BY count(*) DESC, segment",
            (version, *self._of_period),
        )
        found = [name for (name,) in rows]
        if len(found) < 2:
            return [], 0
        return sorted(found[:MOST_SEGMENTS]), max(len(found) - MOST_SEGMENTS, 0)

    def findings(self, version: str, length: Bin, labels: Sequence[str], source: str) -> Findings:
        segments, left_out = self.segments(version)
        windows = []
        whole = self._baseline.summarise()
        of_segments: dict[str, WindowSummary] = {}
        points = self._points(version, length)
        for parts in self._bins(version, length):
            window = parts[0]
            for part in parts[1:]:
                window = window.merge(part)
            told = [(part.key.segment, part.summary) for part in parts if part.events and part.key.segment in segments]
            for name, summary in told:
                of_segments[name] = of_segments[name] + summary if name in of_segments else summary
            whole = whole + window.summary
            windows.append(self._finding(window, told, points.get(window.key.start)))
        versions = {version: whole} | {other: self._sum(other) for other in self._others(version)}
        names = [*labels, *map(str, range(len(labels), self._baseline.classes))][: self._baseline.classes]
        alerts = AlertBook(self._store.database).alerts(self._since, self._until)
        return Findings(
            source=source,
            baseline=self._baseline,
            length=length,
            version=version,
            windows=tuple(sorted(windows, key=lambda window: window.start)),
            alerts=tuple(alert for alert in alerts if alert.version == version),
            labels=tuple(names),
            whole=self._baseline.decide(whole),
            segments=tuple(self._segment(name, of_segments[name]) for name in segments if name in of_segments),
            versions=tuple(self._segment(name, summary) for name, summary in versions.items()),
            left_out=left_out,
            usual_numbers=_numbers(self._baseline, self._baseline.reference),
        )

    def _bins(self, version: str, length: Bin) -> Iterator[list[Window]]:
        """Yield the windows of all segments that begin at one time."""
        windows = self._store.windows(length, self._since, self._until, version=version, examples=True)
        for _, parts in groupby(windows, lambda window: window.key[:2]):
            yield list(parts)

    def _others(self, version: str) -> list[str]:
        return [each for each in self._store.versions(self._since, self._until) if each != version]

    def _sum(self, version: str) -> WindowSummary:
        total = self._baseline.summarise()
        for window in self._store.windows("week", self._since, self._until, version=version, together=True):
            total = total + window.summary
        return total

    def _segment(self, name: str, summary: WindowSummary) -> SegmentFinding:
        return SegmentFinding(name, summary.count, self._baseline.decide(summary))

    def _finding(
        self, window: Window, segments: Sequence[tuple[str, WindowSummary]], points: NDArray[np.float32] | None
    ) -> Finding:
        baseline, summary = self._baseline, window.summary
        layout = baseline.layout
        moved = moved_directions(baseline, summary, _DIRECTIONS) if summary.count else ()
        known = sum(window.truth.values())
        right = sum(count for (true, said), count in window.truth.items() if true == said)
        return Finding(
            start=window.key.start,
            end=window.key.end,
            events=summary.count,
            refused=window.refused,
            problems=Counter(dict(window.problems)),
            decision=baseline.decide(summary),
            labels=summary.sums[layout[LABELS]],
            clusters=summary.sums[layout[CLUSTERS]],
            position=mean_position(baseline, summary),
            numbers=_numbers(baseline, summary),
            moved=moved,
            classes=self._classes(summary),
            truth=(known, right),
            examples=window.examples,
            segments=tuple(self._segment(name, each) for name, each in segments),
            points=np.zeros((0, len(baseline.projection.spread.deviations)), np.float32) if points is None else points,
        )

    def _classes(self, summary: WindowSummary) -> tuple[ClassDrift, ...]:
        if not summary.count:
            return ()
        return class_drift(self._baseline, summary, _CLASSES)

    def _points(self, version: str, length: Bin) -> Mapping[int, NDArray[np.float32]]:
        """Return some of the events that are kept, by the start of their window."""
        parts: dict[int, list[tuple[int, int]]] = {}
        for number, start, nbytes in self._store.kept_parts(self._since, self._until, version):
            parts.setdefault(start_of(start, length), []).append((number, nbytes))
        return {start: self._some(of_window) for start, of_window in parts.items()}

    def _some(self, parts: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Return where events of some parts are, (P, k), spread over the window; little is read where they are large."""
        average = sum(nbytes for _, nbytes in parts) / len(parts)
        count = max(1, min(MOST_POINTS, len(parts), int(_MOST_BYTES / average)))
        chosen = [parts[index][0] for index in np.linspace(0, len(parts) - 1, count).astype(int)]
        rows = []
        for number in chosen:
            kept = self._store.kept_part(number)
            if kept is not None:
                some = np.linspace(0, len(kept.times) - 1, min(len(kept.times), -(-MOST_POINTS // count))).astype(int)
                rows.append(kept.features[some].astype(np.float64))
        width = self._baseline.width
        positions = self._baseline.projection(np.concatenate([np.zeros((0, width)), *rows])[:MOST_POINTS]).positions
        return positions.astype(np.float32)


def mean_position(baseline: DriftBaseline, summary: WindowSummary) -> Floats:
    """Return the mean of events along the principal directions, (k,), in the units of the features."""
    if not summary.count:
        return np.full(len(baseline.projection.spread.deviations), np.nan)
    means = summary.sums[baseline.layout[COMPONENTS]] / UNIT / summary.count
    return np.asarray(means * baseline.projection.spread.deviations)


def _numbers(baseline: DriftBaseline, summary: WindowSummary) -> dict[str, NumberSpread]:
    return {one.name: _spread(one) for one in number_drift(baseline, summary) if len(one.edges)}


def _spread(number: NumberDrift) -> NumberSpread:
    low, high = quantiles_of(number.shares, number.edges)
    return NumberSpread(min(low, number.mean), number.mean, max(high, number.mean))


def quantiles_of(shares: Floats, edges: Floats) -> tuple[float, float]:
    """Return the values that 10 % and 90 % are below, linear within bins; those in the outermost, open ones are at the outermost edges.

    Args:
        shares: (E + 1,), of the events in each bin; NaN where there are none.
        edges: (E,) between the bins, ascending, at least one.
    """
    if np.isnan(shares).any():
        return np.nan, np.nan
    below = np.cumsum(shares)[:-1]
    # Where a bin is empty the distribution is level; the edge where it begins to rise is told.
    rising = np.concatenate([[True], np.diff(below) > 0])
    low, high = np.interp([0.1, 0.9], below[rising], edges[rising])
    return float(low), float(high)
