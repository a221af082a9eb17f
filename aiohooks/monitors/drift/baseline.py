"""What a stream is compared with: events of a time when all was well."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.array_file import read_arrays, write_arrays
from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift import reference
from aiohooks.monitors.drift.class_null import ClassNull
from aiohooks.monitors.drift.covariance import Floats, Spread
from aiohooks.monitors.drift.decision import MeasureResult, WindowDecision
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.instruments import WEIGHTS, Instruments
from aiohooks.monitors.drift.layout import (
    UNIT,
    Events,
    Layout,
    histogram,
)
from aiohooks.monitors.drift.martingale import MartingaleAlarm
from aiohooks.monitors.drift.measure import Measure, Totals
from aiohooks.monitors.drift.mewma import AlarmNull, MovingAverageAlarm, vectors_of
from aiohooks.monitors.drift.null import Null, null_of, sizes_up_to
from aiohooks.monitors.drift.projection import Projection
from aiohooks.monitors.drift.sample import MOST_POSITIONS, BaselineSample, PictureDraw
from aiohooks.monitors.drift.summary import WindowSummary

if TYPE_CHECKING:
    from aiohooks.deployment import Deployment
    from aiohooks.monitors.progress import Progress
    from aiohooks.sources import Pictures

LEAST_WINDOW = 5

_KIND, _VERSION = "a drift baseline", 1
_DIFFERENT = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class DriftBaseline:
    """Events of a time when all was well, and what windows of them look like by chance.

    Two in five of the events (`fit_arrays`) choose in which directions to look and in which units. The others, which
    nothing was fitted to, are what windows are compared with; windows drawn from these, of up to half of them, say what
    is usual for each size.

    Attributes:
        identity: 16 bytes; summaries of one baseline merge with each other only.
        instruments: what it measures with.
        reference: the events that windows are compared with.
        null: what windows of them are by chance.
        of_class: the covariance of the first components within labels, and what windows are by chance in these.
        alarm: what a moving average of them is by chance.
        notes: what makes its decisions less trustworthy.
        sample: some of its events, to show.
    """

    identity: bytes
    instruments: Instruments
    reference: WindowSummary
    null: Null
    of_class: ClassNull
    alarm: AlarmNull
    notes: tuple[str, ...]
    sample: BaselineSample

    @classmethod
    def fit_arrays(
        cls,
        features: ArrayLike,
        probabilities: ArrayLike | None = None,
        image_stats: Mapping[str, ArrayLike] | None = None,
        *,
        held_out: EventArrays | None = None,
        training_features: ArrayLike | None = None,
        examples: Sequence[bytes] = (),
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
                choose where to look, and may be of training pictures. By default three in five of the above, drawn at random.
            training_features: (M, D) of the pictures that the model was trained with, to recognise them among those above.
            examples: pictures of some of the events, to show beside those of windows: small JPEGs or the like, of which 24 are kept.
            together: how many consecutive events are alike, as the frames of a video are within a few seconds; they are
                drawn together.
            components: at most so many principal components.
            random_features: so many random Fourier features of each of two kinds; even.
            clusters: for PSI and JSD; by default 20, or twice as many as labels.
            windows: so many are drawn of each size.
            seed: of everything that is drawn.

        Raises:
            SpecError: there are too few events, or the arrays do not fit each other.
        """
        reference.check_numbers(components, random_features, clusters, windows)
        rng = np.random.default_rng(seed)
        given, notes = reference.whole("the baseline", EventArrays.of(features, probabilities, image_stats))
        if held_out is None:
            reference.check_count(len(given), reference.LEAST_EVENTS, "the baseline")
            reference.check_together(together, len(given) // 2)
            where, compared = reference.split(given, together, rng)
        else:
            where = given.take(rng.permutation(len(given))[: reference.MOST_FITTED])
            compared, more = reference.whole("held_out", held_out)
            notes += more
            reference.check_count(len(compared), reference.LEAST_EVENTS // 2, "held_out")
            reference.check_together(together, len(compared))
            reference.check_alike(where, compared)
            compared = compared.take(reference.some(len(compared), together, reference.MOST_COMPARED, rng))
        if training_features is not None and held_out is None:
            notes += reference.notes_on_training(given.features, training_features)
        instruments = Instruments.fit(
            where, components=components, random_features=random_features, clusters=clusters, rng=rng
        )
        fitted = cls._before_comparison(instruments)
        events = instruments.project(compared)
        compared_with = fitted.summarise(events)
        most = len(compared) // together // 2 * together
        sizes = sizes_up_to(LEAST_WINDOW, most)
        null = null_of(
            events.rows(instruments.layout),
            (*instruments.measures, *instruments.shown),
            sizes,
            windows=windows,
            together=together,
            rng=rng,
        )
        of_class = ClassNull.of(events, instruments.layout, sizes, windows=windows, together=together, rng=rng)
        sample = BaselineSample.of(instruments.projection(compared.features[:MOST_POSITIONS]).positions, examples)
        alarm = AlarmNull.of(vectors_of(events, instruments.layout), together, rng)
        found = replace(fitted, reference=compared_with, null=null, of_class=of_class, alarm=alarm, notes=notes)
        found = replace(found, sample=sample)._identified()
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
        draw = PictureDraw()
        events = await see(pictures, also=draw.see)
        settings.setdefault("examples", await anyio.to_thread.run_sync(draw.pictures))
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
    def _before_comparison(cls, instruments: Instruments) -> "DriftBaseline":
        """Return a baseline that can project and sum up, and has nothing to compare with yet."""
        identity = instruments.digest()[:16]
        kinds = len(instruments.measures) + len(instruments.shown)
        return cls(
            identity=identity,
            instruments=instruments,
            reference=WindowSummary(identity, 0, np.zeros(instruments.layout.width, np.int64)),
            null=Null(np.zeros(0, np.int64), np.zeros((0, 0, kinds), np.float32)),
            of_class=ClassNull.nothing(),
            alarm=AlarmNull(np.zeros(0), np.zeros(0)),
            notes=(),
            sample=BaselineSample.of(np.zeros((0, 0))),
        )

    # events

    @property
    def width(self) -> int:
        """How many features an event has."""
        return self.instruments.width

    @property
    def classes(self) -> int:
        """How many labels the model has; 0 for one that gives no probabilities."""
        return len(self.instruments.variances)

    @property
    def projection(self) -> Projection:
        """From features to what is summed up of them."""
        return self.instruments.projection

    @property
    def layout(self) -> Layout:
        """Which sum of a summary is what."""
        return self.instruments.layout

    @property
    def edges(self) -> Mapping[str, Floats]:
        """Between the bins of the histograms, by name of the number."""
        return self.instruments.edges

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What decisions follow from."""
        return self.instruments.measures

    @property
    def shown(self) -> tuple[Measure, ...]:
        """Other distances, for charts."""
        return self.instruments.shown

    @property
    def largest_window(self) -> int:
        """How many events the largest windows had that were drawn to know what is usual."""
        return int(self.null.sizes[-1])

    def project(self, events: EventArrays) -> Events:
        """Return what events add to a summary. Numpy's work: some tens of microseconds an event, in batches of 16 or more.

        Probabilities and image statistics may be missing, as None or NaN; features may not.

        Raises:
            SpecError: features are not usable, or an array has not the baseline's width.
        """
        return self.instruments.project(events)

    def summarise(self, events: Events | None = None) -> WindowSummary:
        """Return the summary of events; of none by default."""
        if events is None:
            return WindowSummary(self.identity, 0, np.zeros(self.layout.width, np.int64))
        return WindowSummary(self.identity, len(events), events.sums(self.layout))

    # windows

    def decide(self, window: WindowSummary) -> WindowDecision:
        """Say how unusual a window is; it follows from its summary alone.

        Raises:
            SpecError: the summary is of another baseline.
        """
        self.check(window)
        if window.count < self.null.sizes[0]:
            problem = f"{window.count} events are too few: at least {self.null.sizes[0]} are needed"
            return WindowDecision(window.count, None, (), (), False, problem)
        totals, reference = self.totals(window), self.totals(self.reference)
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
        weights = np.array(
            [WEIGHTS[measure.name] if index in judged else 0.0 for index, measure in enumerate(self.measures)]
        )
        return WindowDecision(
            window.count,
            self.null.combined(p_values[: len(weights)], weights, totals.counts[0]),
            results[: len(self.measures)],
            results[len(self.measures) :],
            window.count > self.largest_window,
            None,
        )

    def band(self, name: str, count: int, share: float = 0.95) -> tuple[float, float]:
        """Return the values between which a measure lies in such a share of windows by chance, as many below as above.

        Args:
            name: of a measure, as in decisions, also of those that are only shown.
            count: number of events of the window.
            share: in (0, 1).

        Raises:
            SpecError: there is no such measure, or the share is out of its range.
        """
        names = [measure.name for measure in (*self.measures, *self.shown)]
        if name not in names:
            raise SpecError(f"there is no measure {name!r}; there are {', '.join(names)}")
        if not 0 < share < 1:
            raise SpecError(f"share={share}: it must be between 0 and 1")
        index, size = names.index(name), float(min(count, self.largest_window))
        low, high = (self.null.quantile(index, at, size) for at in ((1 - share) / 2, (1 + share) / 2))
        return low, high

    # streams

    def stream_alarm(self, false_alarms_per_1000: float = 0.2) -> MovingAverageAlarm:
        """Return an alarm that sounds within tens of events, so often by chance; give it `alarm_vectors`.

        Raises:
            SpecError: the rate is not above 0 and at most 10.
        """
        return MovingAverageAlarm(self.alarm, false_alarms_per_1000 / 1000)

    def alarm_vectors(self, events: Events) -> Floats:
        """Return what a `stream_alarm` takes in of events, (N, V)."""
        return vectors_of(events, self.layout)

    def martingale_alarm(self, false_alarms_per_1000: float = 0.2, *, seed: int = 0) -> MartingaleAlarm:
        """Return an alarm that surely sounds no more often while events are exchangeable; give it `alarm_bins`.

        Raises:
            SpecError: the rate is not above 0 and at most 10.
        """
        counts = [self.reference.sums[self.layout[histogram(name)]] for name in self.edges]
        return MartingaleAlarm(counts, false_alarms_per_1000 / 1000, seed)

    def alarm_bins(self, events: Events) -> NDArray[np.int64]:
        """Return what a `martingale_alarm` takes in of events, (N, S): the bins of each number of `edges`."""
        return np.stack([events.bins(self.layout[histogram(name)]) for name in self.edges], 1)

    def totals(self, summary: WindowSummary) -> Totals:
        """Return the sums of one set of events; of a window as if it had no more events than were drawn."""
        sums = summary.sums[: self.layout.measured].astype(np.float64)
        sums[: self.layout.real] /= UNIT
        share = 1.0
        if summary is not self.reference and summary.count > self.largest_window:
            share = self.largest_window / summary.count
        return Totals(np.array([summary.count * share]), sums[None] * share)

    def check(self, summary: WindowSummary) -> None:
        """Raise `SpecError` if a summary is of another baseline."""
        if summary.baseline != self.identity or len(summary.sums) != self.layout.width:
            raise SpecError(
                f"this summary is of another baseline ({summary.baseline.hex()}, not {self.identity.hex()}); compare it with that one"
            )

    def _identified(self) -> "DriftBaseline":
        """Return the baseline with an identity that also tells what windows are compared with, and what is usual for them."""
        digest = hashlib.sha256(self.identity)
        null = self.of_class.null
        for array in (
            self.reference.sums, self.null.sizes, self.null.values, *self.of_class.spread, null.sizes, null.values,
            self.alarm.centre, self.alarm.maxima,
        ):  # fmt: skip
            digest.update(repr(array.shape).encode() + array.astype("<f8").tobytes())
        identity = digest.digest()[:16]
        reference = WindowSummary(identity, self.reference.count, self.reference.sums)
        return replace(self, identity=identity, reference=reference)

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
        write_arrays(
            path,
            kind=_KIND,
            version=_VERSION,
            fields={"numbers": list(self.edges), "notes": list(self.notes), "events": self.reference.count},
            arrays=self.instruments.arrays()
            | {
                "reference": self.reference.sums,
                "null_sizes": self.null.sizes,
                "null_values": self.null.values,
                "class_mean": self.of_class.spread.mean,
                "class_directions": self.of_class.spread.directions,
                "class_deviations": self.of_class.spread.deviations,
                "class_sizes": self.of_class.null.sizes,
                "class_values": self.of_class.null.values,
                "alarm_centre": self.alarm.centre,
                "alarm_maxima": self.alarm.maxima,
            }
            | self.sample.arrays(),
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
            fitted = cls._before_comparison(Instruments.of_arrays(arrays, fields["numbers"]))
            of_class = Spread(arrays["class_mean"], arrays["class_directions"], arrays["class_deviations"])
            found = replace(
                fitted,
                reference=WindowSummary(fitted.identity, fields["events"], arrays["reference"]),
                null=Null(arrays["null_sizes"], arrays["null_values"]),
                of_class=ClassNull(of_class, Null(arrays["class_sizes"], arrays["class_values"])),
                alarm=AlarmNull(arrays["alarm_centre"], arrays["alarm_maxima"]),
                notes=tuple(fields["notes"]),
                sample=BaselineSample.of_arrays(arrays),
            )
            return found._identified()
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise LoadError(f"{path}: this is no whole drift baseline ({error!r}); fit it anew") from None
