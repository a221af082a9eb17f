"""What a stream is compared with: events of a time when all was well."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.array_file import read_arrays, write_arrays
from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift.bins import edges_of
from aiohooks.monitors.drift.clusters import k_means
from aiohooks.monitors.drift.covariance import Floats, Spread, spread
from aiohooks.monitors.drift.decision import MeasureResult, WindowDecision
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.histogram_shift import HistogramShift
from aiohooks.monitors.drift.label_shift import LabelShift
from aiohooks.monitors.drift.layout import (
    CLUSTERS,
    COMPONENTS,
    LABELS,
    PROBABILITIES,
    UNIT,
    WAVES,
    Events,
    Layout,
    events_of,
    histogram,
)
from aiohooks.monitors.drift.mean_shift import MeanShift
from aiohooks.monitors.drift.measure import Measure, Totals
from aiohooks.monitors.drift.null import Null, null_of, sizes_up_to
from aiohooks.monitors.drift.projection import RIDGE, Projection
from aiohooks.monitors.drift.psi_jsd import JensenShannon, PopulationStability
from aiohooks.monitors.drift.summary import WindowSummary
from aiohooks.monitors.drift.training import share_seen

if TYPE_CHECKING:
    from aiohooks.deployment import Deployment
    from aiohooks.monitors.progress import Progress
    from aiohooks.sources import Pictures

LEAST_EVENTS = 80
"""Of a baseline: half of them set what is usual, and windows of a quarter as many can be judged."""

LEAST_WINDOW = 5

LEAST_RUNS = 40
"""Of events that are drawn together."""

NORM, CONFIDENCE = "feature norm", "confidence"

_KIND, _VERSION = "a drift baseline", 1
_BINS = 20
_MOST_FITTED, _MOST_COMPARED, _MOST_CLASSES = 8000, 2000, 32
_SEEN = 0.05
_DIFFERENT = 0.001
_MEANS, _WAVES, _LABELS, _IMAGE = "mean features", "random features", "labels", "image"

# What a model predicts follows from its features, so that the other measures mostly see again what those of features
# see; they weigh less, and cost little where they see nothing.
_WEIGHTS = {_MEANS: 1.0, _WAVES: 2.0, NORM: 1.0, CONFIDENCE: 0.25, _LABELS: 0.25, _IMAGE: 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class DriftBaseline:
    """Events of a time when all was well, and what windows of them look like by chance.

    Half of the events (`fit_arrays`) choose in which directions to look and in which units. The others, which nothing
    was fitted to, are what windows are compared with; windows drawn from these say what is usual for each size.

    Attributes:
        identity: 16 bytes; summaries of one baseline merge with each other only.
        projection: of features.
        waves: mean and covariance of the random features.
        variances: (C,), of the probabilities of the labels; empty for a model without.
        edges: between the bins of the histograms, by name of the number.
        centres: (K, k), of the clusters that PSI and JSD count.
        reference: the events that windows are compared with.
        null: what windows of them are by chance.
        notes: what makes its decisions less trustworthy.
    """

    identity: bytes
    projection: Projection
    waves: Spread
    variances: Floats
    edges: Mapping[str, Floats]
    centres: Floats
    reference: WindowSummary
    null: Null
    notes: tuple[str, ...]
    layout: Layout
    measures: tuple[Measure, ...]
    shown: tuple[Measure, ...]

    @classmethod
    def fit_arrays(
        cls,
        features: ArrayLike,
        probabilities: ArrayLike | None = None,
        image_stats: Mapping[str, ArrayLike] | None = None,
        *,
        held_out: EventArrays | None = None,
        training_features: ArrayLike | None = None,
        together: int = 1,
        components: int = 128,
        random_features: int = 512,
        clusters: int | None = None,
        windows: int = 2000,
        seed: int = 0,
    ) -> "DriftBaseline":
        """Fit a baseline.

        Args:
            features: (N, D) of pictures that the model was **not** trained with; at least `LEAST_EVENTS`.
            probabilities: (N, C) of the labels, if the model gives them.
            image_stats: numbers of the pictures, (N,) by name, such as brightness and sharpness.
            held_out: other events to compare windows with, at least half of `LEAST_EVENTS`; then all of the above only
                choose where to look, and may be of training pictures. By default a half of the above, drawn at random.
            training_features: (M, D) of the pictures that the model was trained with, to recognise them among those above.
            together: how many consecutive events are alike, as the frames of a video are within a few seconds; they are
                drawn together.
            components: at most so many principal components.
            random_features: so many random Fourier features; even.
            clusters: for PSI and JSD; by default 20, or twice as many as labels.
            windows: so many are drawn of each size.
            seed: of everything that is drawn.

        Raises:
            SpecError: there are too few events, or the arrays do not fit each other.
        """
        rng = np.random.default_rng(seed)
        given, notes = _whole("the baseline", EventArrays.of(features, probabilities, image_stats))
        if held_out is None:
            _check_count(len(given), LEAST_EVENTS, "the baseline")
            _check_together(together, len(given) // 2)
            where, compared = _split(given, together, rng)
        else:
            where = given.take(rng.permutation(len(given))[:_MOST_FITTED])
            compared, more = _whole("held_out", held_out)
            notes += more
            _check_count(len(compared), LEAST_EVENTS // 2, "held_out")
            _check_together(together, len(compared))
            _check_alike(where, compared)
            compared = compared.take(_some(len(compared), together, _MOST_COMPARED, rng))
        if training_features is not None and held_out is None:
            notes += _notes_on_training(given.features, training_features)
        if not (where.features != where.features[0]).any():
            raise SpecError("features: all events have the same; there is nothing to compare")

        projection = Projection.fit(where.features, components=components, waves=random_features, rng=rng)
        projected = projection(where.features)
        classes = 0 if where.probabilities is None else where.probabilities.shape[1]
        variances = np.zeros(0) if where.probabilities is None else _variances(where.probabilities)
        numbers = _numbers_of(where)
        edges = {name: edges_of(values, _BINS) for name, values in numbers.items()}
        fitted = cls._assemble(
            projection,
            spread(projected.waves, ridge=RIDGE),
            variances,
            edges,
            k_means(projected.positions, clusters or max(20, 2 * min(classes, _MOST_CLASSES)), rng),
        )
        events = fitted.project(compared)
        reference = fitted.summarise(events)
        most = len(compared) // together // 2 * together
        null = null_of(
            events.rows(fitted.layout.width),
            (*fitted.measures, *fitted.shown),
            sizes_up_to(min(LEAST_WINDOW, most), most),
            windows=windows,
            together=together,
            rng=rng,
        )
        found = replace(fitted, reference=reference, null=null, notes=notes)
        if held_out is not None:
            note = found._note_on_difference(where)
            found = replace(found, notes=found.notes + note)
        for text in found.notes:
            warnings.warn(text, stacklevel=2)
        return found

    @classmethod
    async def fit(
        cls,
        deployment: "Deployment",
        pictures: "Pictures",
        *,
        held_out: "Pictures | None" = None,
        training: "Pictures | None" = None,
        progress: "bool | Progress | None" = None,
        **settings: Any,
    ) -> "DriftBaseline":
        """Fit a baseline on pictures that a deployment infers; hooks and monitors do not see them.

        Args:
            deployment: open, with features.
            pictures: which the model was **not** trained with; anything that `Deployment.stream` takes, a folder with its subfolders.
            held_out: other pictures, as for `fit_arrays`.
            training: pictures that the model was trained with, to recognise them among those above.
            progress: True shows a bar in a terminal; a function is called after each picture.
            settings: further ones of `fit_arrays`.

        Raises:
            SpecError: as `fit_arrays`; or the deployment gives no features.
        """
        from aiohooks.monitors.drift.fit import pictured_events

        see = partial(pictured_events, deployment, progress=progress)
        events = await see(pictures)
        if held_out is not None:
            settings["held_out"] = await see(held_out, what="held out")
        if training is not None:
            settings["training_features"] = (await see(training, what="training")).features
        fit = partial(cls.fit_arrays, events.features, events.probabilities, events.image_stats, **settings)
        return await anyio.to_thread.run_sync(fit)

    @classmethod
    def fit_period(cls, database: Path | str, since: float, until: float, **settings: Any) -> "DriftBaseline":
        """Fit a baseline on a period of a stream, of which a monitor with ``keep_events=True`` kept the events. Blocks.

        Called again and again with a later period, it makes a rolling baseline.

        Args:
            database: of the monitor, which may be open.
            since: beginning of the period, in seconds since the epoch.
            until: its end.
            settings: further ones of `fit_arrays`.

        Raises:
            LoadError: the file is no such database.
            SpecError: as `fit_arrays`; or there are no events of that period.
        """
        from aiohooks.monitors.drift.fit import kept_events

        events = kept_events(Path(database), since, until)
        return cls.fit_arrays(events.features, events.probabilities, events.image_stats, **settings)

    @classmethod
    def _assemble(
        cls, projection: Projection, waves: Spread, variances: Floats, edges: Mapping[str, Floats], centres: Floats
    ) -> "DriftBaseline":
        """Return a baseline that can project and sum up, and has nothing to compare with yet."""
        layout = Layout.of(
            components=len(projection.spread.deviations),
            waves=2 * projection.frequencies.shape[1],
            classes=len(variances),
            edges=edges,
            clusters=len(centres),
        )
        measures: list[Measure] = [
            MeanShift(_MEANS, layout[COMPONENTS]),
            MeanShift(_WAVES, layout[WAVES], waves),
        ]
        measures.append(HistogramShift(NORM, (layout[histogram(NORM)],)))
        if len(variances):
            measures.append(HistogramShift(CONFIDENCE, (layout[histogram(CONFIDENCE)],)))
            measures.append(LabelShift(_LABELS, layout[PROBABILITIES], layout[LABELS], variances))
        of_image = tuple(layout[histogram(name)] for name in edges if name not in (NORM, CONFIDENCE))
        if of_image:
            measures.append(HistogramShift(_IMAGE, of_image))
        shown = (PopulationStability(layout[CLUSTERS]), JensenShannon(layout[CLUSTERS]))
        digest = hashlib.sha256()
        for array in (*projection.spread, projection.frequencies, *waves, variances, centres, *edges.values()):
            digest.update(repr(array.shape).encode() + array.astype("<f8").tobytes())
        digest.update(repr(list(edges)).encode())
        identity = digest.digest()[:16]
        empty = WindowSummary(identity, 0, np.zeros(layout.width, np.int64))
        nothing = Null(np.zeros(0, np.int64), np.zeros((0, 0, len(measures) + len(shown)), np.float32))
        return cls(
            identity, projection, waves, variances, edges, centres, empty, nothing, (), layout, tuple(measures), shown
        )

    # events

    @property
    def width(self) -> int:
        """How many features an event has."""
        return self.projection.width

    @property
    def largest_window(self) -> int:
        """How many events the largest windows had that were drawn to know what is usual."""
        return int(self.null.sizes[-1])

    def project(self, events: EventArrays) -> Events:
        """Return what events add to a summary. Numpy's work: some tens of microseconds an event, in batches of 16 or more.

        Probabilities and image statistics may be missing, as None or NaN; features may not.

        Raises:
            SpecError: features are not finite, or an array has not the baseline's width.
        """
        if events.features.shape[1] != self.width:
            raise SpecError(f"features: the baseline has {self.width:,} of an event, not {events.features.shape[1]:,}")
        rows, classes = events.probabilities, len(self.variances)
        if rows is not None and classes and rows.shape[1] != classes:
            raise SpecError(f"probabilities: the baseline has {classes:,} labels, not {rows.shape[1]:,}")
        finite = np.isfinite(events.features).all(1)
        if not finite.all():
            raise SpecError(f"features: {np.count_nonzero(~finite):,} of {len(finite):,} events have some that are not finite")
        return events_of(
            self.projection(events.features),
            rows if classes else None,
            _numbers_of(events),
            layout=self.layout,
            edges=self.edges,
            centres=self.centres,
        )

    def summarise(self, events: Events | None = None) -> WindowSummary:
        """Return the summary of events; of none by default."""
        if events is None:
            return WindowSummary(self.identity, 0, np.zeros(self.layout.width, np.int64))
        return WindowSummary(self.identity, len(events), events.sums(self.layout.width))

    # windows

    def decide(self, window: WindowSummary) -> WindowDecision:
        """Say how unusual a window is; it follows from its summary alone.

        Raises:
            SpecError: the summary is of another baseline.
        """
        self._check(window)
        if window.count < self.null.sizes[0]:
            problem = f"{window.count} events are too few: at least {self.null.sizes[0]} are needed"
            return WindowDecision(window.count, None, (), (), False, problem)
        totals, reference = self._totals(window), self._totals(self.reference)
        every = (*self.measures, *self.shown)
        able = np.array([float(measure.events(totals)[0]) for measure in every])
        judged = [index for index, count in enumerate(able) if count >= self.null.sizes[0]]
        values = np.zeros(len(every))
        for index in judged:
            values[index] = every[index](totals, reference)[0]
        p_values = self.null.p_values(values, able)
        results = tuple(
            MeasureResult(
                measure.name, float(values[index]), float(p_values[index]), self.null.quantile(index, 0.95, able[index])
            )
            if index in judged
            else MeasureResult(measure.name, None, None, None)
            for index, measure in enumerate(every)
        )
        weights = np.array([_WEIGHTS[measure.name] if index in judged else 0.0 for index, measure in enumerate(self.measures)])
        return WindowDecision(
            window.count,
            self.null.combined(p_values[: len(weights)], weights, totals.counts[0]),
            results[: len(self.measures)],
            results[len(self.measures) :],
            window.count > self.largest_window,
            None,
        )

    def _totals(self, summary: WindowSummary) -> Totals:
        """Return the sums of one set of events; of a window as if it had no more events than were drawn."""
        sums = summary.sums.astype(np.float64)
        sums[: self.layout.real] /= UNIT
        share = 1.0
        if summary is not self.reference and summary.count > self.largest_window:
            share = self.largest_window / summary.count
        return Totals(np.array([summary.count * share]), sums[None] * share)

    def _check(self, summary: WindowSummary) -> None:
        if summary.baseline != self.identity or len(summary.sums) != self.layout.width:
            raise SpecError(
                f"this summary is of another baseline ({summary.baseline.hex()}, not {self.identity.hex()}); compare it with that one"
            )

    def _note_on_difference(self, where: EventArrays) -> tuple[str, ...]:
        decision = self.decide(self.summarise(self.project(where)))
        if not decision.drifted(_DIFFERENT):
            return ()
        return (
            "the events of the baseline differ from those held out, as training pictures do from others: "
            "windows are compared with those held out alone",
        )

    # files

    def save(self, path: Path | str) -> None:
        """Write it to a file, without pickle; see `aiohooks.array_file` for the form. Blocks.

        Raises:
            OSError: the file cannot be written.
        """
        names = list(self.edges)
        write_arrays(
            path,
            kind=_KIND,
            version=_VERSION,
            fields={"numbers": names, "notes": list(self.notes), "events": self.reference.count},
            arrays={
                "mean": self.projection.spread.mean,
                "directions": self.projection.spread.directions,
                "deviations": self.projection.spread.deviations,
                "frequencies": self.projection.frequencies,
                "wave_mean": self.waves.mean,
                "wave_directions": self.waves.directions,
                "wave_deviations": self.waves.deviations,
                "variances": self.variances,
                "centres": self.centres,
                "reference": self.reference.sums,
                "null_sizes": self.null.sizes,
                "null_values": self.null.values,
            }
            | {f"edges_{index}": self.edges[name] for index, name in enumerate(names)},
        )

    @classmethod
    def load(cls, path: Path | str) -> "DriftBaseline":
        """Read what `save` wrote; it decides as the one that was saved, bit for bit. Blocks.

        Raises:
            LoadError: the file is not there, of another kind, newer, cut off or damaged.
        """
        file = read_arrays(path, kind=_KIND, version=_VERSION)
        arrays, fields = file.arrays, file.fields
        try:
            projection = Projection(
                Spread(arrays["mean"], arrays["directions"], arrays["deviations"]), arrays["frequencies"]
            )
            waves = Spread(arrays["wave_mean"], arrays["wave_directions"], arrays["wave_deviations"])
            edges = {name: arrays[f"edges_{index}"] for index, name in enumerate(fields["numbers"])}
            fitted = cls._assemble(projection, waves, arrays["variances"], edges, arrays["centres"])
            reference = WindowSummary(fitted.identity, fields["events"], arrays["reference"])
            null = Null(arrays["null_sizes"], arrays["null_values"])
            return replace(fitted, reference=reference, null=null, notes=tuple(fields["notes"]))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise LoadError(f"{path}: this is no whole drift baseline ({error!r}); fit it anew") from None


def _whole(what: str, events: EventArrays) -> tuple[EventArrays, tuple[str, ...]]:
    """Return the events of which every number is finite, and what to say if there are others."""
    whole = events.whole()
    if whole.all():
        return events, ()
    note = f"{np.count_nonzero(~whole):,} of {len(events):,} events of {what} have numbers that are not finite; they are left out"
    return events.take(np.flatnonzero(whole)), (note,)


def _check_count(count: int, least: int, what: str) -> None:
    if count < least:
        raise SpecError(f"{what} has {count:,} events, which say too little about what is usual; at least {least} are needed")


def _check_together(together: int, compared: int) -> None:
    if together < 1 or compared // together < LEAST_RUNS:
        raise SpecError(
            f"together={together}: at least {LEAST_RUNS} runs of so many events have to be compared with, "
            f"and there are {compared:,} events; take more, or say how many are really alike"
        )


def _check_alike(where: EventArrays, compared: EventArrays) -> None:
    widths = [
        (one.features.shape[1], None if one.probabilities is None else one.probabilities.shape[1], sorted(one.image_stats))
        for one in (where, compared)
    ]
    if widths[0] != widths[1]:
        raise SpecError(f"held_out: (features, labels, image statistics) are {widths[1]}, and those of the baseline {widths[0]}")


def _split(events: EventArrays, together: int, rng: np.random.Generator) -> tuple[EventArrays, EventArrays]:
    """Return two halves, at most as large as is of use; runs of events stay together and in order."""
    runs = rng.permutation(len(events) // together)
    compared = min(len(runs) - 2 * len(runs) // 5, max(_MOST_COMPARED // together, LEAST_RUNS))
    which = (runs[:, None] * together + np.arange(together)).reshape(-1)
    one, other = which[: compared * together], which[compared * together :]
    return events.take(other[:_MOST_FITTED]), events.take(one)


def _some(count: int, together: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return which events to take of too many, in whole runs."""
    runs = rng.permutation(count // together)[: max(most // together, LEAST_RUNS)]
    return (runs[:, None] * together + np.arange(together)).reshape(-1)


def _numbers_of(events: EventArrays) -> dict[str, Floats]:
    """Return the numbers whose histograms are kept, by name."""
    numbers = {NORM: np.linalg.norm(events.features, axis=1)} | dict(events.image_stats)
    if events.probabilities is not None:
        known = np.isfinite(events.probabilities).all(1) & (events.probabilities > 0).any(1)
        numbers[CONFIDENCE] = np.where(known, np.where(known[:, None], events.probabilities, 0).max(1), np.nan)
    return numbers


def _variances(probabilities: Floats) -> Floats:
    """Return those of each label's probability, none so small that a single event of a rare label decides."""
    variances = probabilities.var(0)
    return np.maximum(variances, max(0.1 * variances.mean(), 1e-12))


def _notes_on_training(features: Floats, training: ArrayLike) -> tuple[str, ...]:
    share = share_seen(features, EventArrays.of(training).features)
    if share < _SEEN:
        return ()
    return (
        f"{share:.0%} of the baseline's events are of training pictures: a model treats those unlike any others, so that "
        "clean windows will look drifted; give others, or some of the stream as held_out",
    )
