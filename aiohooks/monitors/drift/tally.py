"""Events are summed up in memory, by window, until they are written to the database."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import start_of
from aiohooks.monitors.drift.event import EventBatch
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.example import Example, draw_key, seeded_draw
from aiohooks.monitors.drift.kept_events import KeptEvents
from aiohooks.monitors.drift.known_ids import Place
from aiohooks.monitors.drift.layout import Events
from aiohooks.monitors.drift.problem import Problems
from aiohooks.monitors.drift.retention import DriftRetention, length_at
from aiohooks.monitors.drift.window import Window, WindowKey

OTHER = "(other)"
"""The segment, model or true label of events whose own would be one too many."""

MOST_LABELS = 1024
"""True labels that are told apart beside the model's own; a number is no label."""


class Tally:
    """Windows that have not been written yet.

    Args:
        baseline: sums up.
        labels: names of the classes, in their order; may be empty.
        model_version: of events that do not say theirs.
        retention: old events are in longer windows from the beginning.
        most_segments: how many segments there may be; events of more belong to `OTHER`. So it is with models.
        keep_events: also keep the events themselves.
    """

    def __init__(
        self,
        baseline: DriftBaseline,
        *,
        labels: Sequence[str],
        model_version: str,
        retention: DriftRetention,
        most_segments: int,
        keep_events: bool,
    ) -> None:
        self.windows: dict[WindowKey, Window] = {}
        self.kept: list[KeptEvents] = []
        self.labels = labels
        self.model_version = model_version
        self._baseline = baseline
        self._empty = baseline.summarise()
        self._retention = retention
        self._most_segments = most_segments
        self._segments: set[str] = {""}
        self._versions: set[str] = set()
        self._true_labels: set[str] = set()
        self._keep_events = keep_events

    def knows(self, versions: Sequence[str], segments: Sequence[str]) -> None:
        """These models and segments are in the database already."""
        self._versions.update(versions)
        self._segments.update(segments)

    def clear(self) -> None:
        """The windows have been written."""
        self.windows.clear()
        self.kept.clear()

    def add(self, batch: EventBatch, now: float, examples: Sequence[Example | None] | None = None) -> Events | None:
        """Add good events, and return what they add to summaries; None if there are none.

        Args:
            batch: the events.
            now: in seconds since the epoch.
            examples: a picture of each, where there is one; by default what the batch has of pictures.
        """
        if not len(batch):
            return None
        stats = {name: values for name, values in batch.numbers.items() if name in self._baseline.edges}
        probabilities = None if batch.probabilities is None else batch.probabilities.astype(np.float64)
        events = self._baseline.project(EventArrays(batch.features.astype(np.float64), probabilities, stats))
        predicted = self._predicted(batch)
        if examples is None:
            examples = _examples_of(batch, predicted)
        for key, rows in self._groups(batch, now):
            truth: Counter[tuple[str, str]] = Counter()
            if batch.targets is not None:
                truth.update(
                    (self._true(target), predicted[row]) for row in rows if (target := batch.targets[row]) is not None
                )
            of_window = [example for row in rows if (example := examples[row]) is not None] if examples else []
            window = Window(key, self._baseline.summarise(events.take(rows)), truth=truth, examples=tuple(of_window))
            self._merge(window)
            if self._keep_events:
                self.kept.append(KeptEvents.of(key, batch, rows))
        return events

    def places(self, batch: EventBatch) -> list[Place | None]:
        """Return the places of events, where their true labels may come; None for those that predict nothing or have one."""
        predicted = self._predicted(batch)
        targets = batch.targets if batch.targets is not None else itertools.repeat(None, len(batch))
        places: list[Place | None] = []
        for (minute, version, segment), name, target in zip(self._columns(batch), predicted, targets, strict=True):
            is_open = bool(name) and target is None
            places.append(Place(minute, version, segment, name) if is_open else None)
        return places

    def told(self, place: Place, label: str, now: float) -> Window:
        """Return what the true label of an event adds."""
        length = length_at(place.minute, now, self._retention)
        key = WindowKey(length, start_of(place.minute, length), place.version, place.segment)
        return Window(key, self._empty, truth=Counter({(self._true(label), place.predicted): 1}))

    def refuse(self, count: int, problems: Problems, now: float) -> None:
        """Count events that were refused, and what was wrong, in the window of now: their own time may be what is wrong."""
        if count or problems:
            key = WindowKey("minute", start_of(now, "minute"), self._named(self.model_version, self._versions), "")
            self._merge(Window(key, self._empty, count, problems))

    def _merge(self, window: Window) -> None:
        there = self.windows.get(window.key)
        empty = Window(window.key, self._empty) if there is None else there
        self.windows[window.key] = empty.merge(window)

    def _groups(self, batch: EventBatch, now: float) -> list[tuple[WindowKey, NDArray[np.intp]]]:
        """Return which events belong to which window."""
        found: dict[tuple[int, str, str], list[int]] = {}
        for row, place in enumerate(self._columns(batch)):
            found.setdefault(place, []).append(row)
        groups: dict[WindowKey, list[int]] = {}
        for (minute, version, segment), rows in found.items():
            length = length_at(minute, now, self._retention)
            key = WindowKey(length, start_of(minute, length), version, segment)
            groups.setdefault(key, []).extend(rows)
        return [(key, np.array(rows)) for key, rows in groups.items()]

    def _columns(self, batch: EventBatch) -> Iterator[tuple[int, str, str]]:
        """Yield minute, version and segment of each event."""
        count = len(batch)
        minutes = (batch.times // 60).astype(np.int64) * 60
        segments = batch.segments if batch.segments is not None else itertools.repeat("", count)
        versions = batch.model_versions if batch.model_versions is not None else itertools.repeat(None, count)
        for minute, version, segment in zip(minutes.tolist(), versions, segments, strict=True):
            named = self._named(self.model_version if version is None else version, self._versions)
            yield minute, named, self._named(segment, self._segments)

    def _true(self, label: str) -> str:
        return label if label in self.labels else self._named(label, self._true_labels, MOST_LABELS)

    def _named(self, name: str, names: set[str], most: int | None = None) -> str:
        if name in names:
            return name
        if len(names) > (self._most_segments if most is None else most):
            return OTHER
        names.add(name)
        return name

    def _predicted(self, batch: EventBatch) -> list[str]:
        """Return the name of the most probable class of each event; empty where there is none."""
        if batch.probabilities is None or not batch.probabilities.shape[1]:
            return [""] * len(batch)
        known = np.all(np.isfinite(batch.probabilities), axis=1) & np.any(batch.probabilities > 0, axis=1)
        most = np.where(
            known, np.where(np.isnan(batch.probabilities), 0, batch.probabilities).argmax(axis=1), -1
        ).tolist()
        return ["" if i < 0 else self.labels[i] if i < len(self.labels) else str(i) for i in most]


def _examples_of(batch: EventBatch, predicted: Sequence[str]) -> list[Example | None]:
    """Return the pictures that came with events. Their keys follow from the ids, so that every machine draws the same sample."""
    if batch.images is None:
        return []
    scores = batch.numbers.get("ood_score")
    examples: list[Example | None] = []
    for row, image in enumerate(batch.images):
        if image is None:
            examples.append(None)
            continue
        time = float(batch.times[row])
        event_id = None if batch.ids is None else batch.ids[row]
        score = None if scores is None or np.isnan(scores[row]) else float(scores[row])
        key = draw_key(weight_of(score), seeded_draw(f"{time!r} {image!r}" if event_id is None else event_id))
        picture, address = (image, "") if isinstance(image, bytes) else (b"", image)
        examples.append(Example(key, time, picture, address, predicted[row], score))
    return examples


def weight_of(ood_score: float | None) -> float:
    """Return how much sooner an event is drawn as an example than others: what is strange says most."""
    return 1.0 if ood_score is None else 0.25 + ood_score
