"""Whether features are like those that a model was fitted on."""

import logging
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import ArrayLike

from aiohooks import sources
from aiohooks.array_file import holds
from aiohooks.deployment import Deployment
from aiohooks.errors import LoadError, SpecError
from aiohooks.frame import Frame
from aiohooks.hooks.named_files import SavedFile
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.monitors.ood.bank import Bank, MostInBank
from aiohooks.monitors.ood.batch import Batch, Doubles, rows_of
from aiohooks.monitors.ood.collect import check_features, vector_of
from aiohooks.monitors.ood.combination import Combination
from aiohooks.monitors.ood.combining import combined
from aiohooks.monitors.ood.conformal import Survival, conformal_p_values, pictures_needed
from aiohooks.monitors.ood.explanation import MeasureExplanation, Neighbour, OODExplanation
from aiohooks.monitors.ood.fit import fitted_in_thread, training_arrays
from aiohooks.monitors.ood.fitted import Fitted, Kept, Pictures
from aiohooks.monitors.ood.fitting import apart, calibration_needed, chunks, fit, learning
from aiohooks.monitors.ood.footprint import nbytes_of, seconds_of
from aiohooks.monitors.ood.forest import Forest
from aiohooks.monitors.ood.given import Numbers, batch_of, class_names_of, groups_of, labels_of, through
from aiohooks.monitors.ood.logits import energy_of
from aiohooks.monitors.ood.model_file import read_parts, write_parts
from aiohooks.monitors.ood.scores import SCORES
from aiohooks.monitors.ood.screened import Screened, screen_pictures
from aiohooks.monitors.ood.splitting import size_in_all, split
from aiohooks.monitors.ood.watching import MOST_SECONDS_ON_LOOP, Evidence, evidence_of, scoring_threads
from aiohooks.monitors.ood.whitening import Whitening
from aiohooks.monitors.progress import Progress, unseen
from aiohooks.prediction import Prediction
from aiohooks.prediction.assemble import changed

logger = logging.getLogger("aiohooks")

_EVEN = 0.05
_LEAST_LOG_P = -690.0
_DISTANCES_AT_ONCE = 1_000_000
_RUNS = 7
_FACTS = {"measures", "names", "scores", "max_bank", "seed"}
_TYPES = {
    kind.__name__: kind
    for kind in (*SCORES.values(), Bank, Combination, Fitted, Forest, Kept, LastLayer, Pictures, Survival, Whitening)
}


class OODModel:
    """Tells how unusual features are, as a p-value and as a score.

    Made by `fit`, `fit_arrays`, `load` or `combine`. It never changes, so that threads may share it. The same features give the same bits
    on the same machine: before and after `save`, alone and among others.

    Attributes:
        width: D, how many numbers a feature vector has.
        classes: C, how many logits; None if the model was fitted without.
        needs_logits: whether it scores with logits; where it knows the last layer it computes them if none are given.
        measures: names of its measures.
        weights: how much each of them counts.
        learned: whether the weights were learned from pictures out of distribution.
        learning: the same in words; if not, why not and what it takes.
        calibration_size: n, how many in-distribution pictures its p-values were taken from.
        cost_seconds: time to score one frame, as measured when the model was made.
        nbytes: memory of what it scores with; what it keeps to be combined is not counted.
        path: the file that it was last saved to or loaded from; None if there is none.
    """

    def __init__(self, parts: Fitted, facts: dict[str, Any]) -> None:
        self._parts = parts
        self._facts = facts
        self.path: Path | None = None
        self._checksum = 0
        self.measures: tuple[str, ...] = tuple(facts["measures"])
        self.weights: tuple[float, ...] = tuple(parts.combination.weights.tolist())
        self.learned: bool = facts.get("learned", False)
        self.learning = learning(self.measures, parts.kept, learned=self.learned)
        self.width: int = parts.kept.training.features.shape[1]
        logits = parts.kept.training.logits
        self.classes: int | None = None if logits is None else logits.shape[1]
        self.needs_logits = any("logits" in score.needs for score in parts.scores)
        self.calibration_size = len(parts.calibration)
        self.nbytes = nbytes_of(parts)
        one = parts.kept.calibration.batch.slice(0, 1)
        self.cost_seconds = min(seconds_of(parts, one) for _ in range(_RUNS))

    def __repr__(self) -> str:
        return f"<OODModel of {self.width} features: {', '.join(self.measures)}; calibrated on {self.calibration_size:,} pictures>"

    @classmethod
    async def fit(
        cls,
        deployment: Deployment,
        in_distribution: sources.Pictures,
        *,
        calibration: sources.Pictures | None = None,
        out_of_distribution: sources.Pictures | None = None,
        corruptions: bool | Sequence[str] | None = None,
        class_of: Callable[[Frame], Hashable] | None = None,
        group_of: Callable[[Frame], Hashable] | None = None,
        progress: bool | Progress | None = None,
        scores: Sequence[str] | None = None,
        max_bank: MostInBank = "auto",
        seed: int = 0,
    ) -> Self:
        """Fit a model on pictures, which are streamed through a deployment; its hooks and monitors do not see them.

        Of a picture only its features, logits and name stay in memory. Cancelling leaves nothing behind. sources.Pictures that cannot be
        read are left out, and logged.

        Args:
            deployment: open, with a feature vector: its own, or one that ``Deployment.load(…, features=True)`` exposes.
            in_distribution: pictures like those that the network was trained with: a folder, which is read with its subfolders, or
                anything else that `Deployment.stream` takes.
            calibration: other in-distribution pictures, best ones that the network was not trained on; by default a part of the
                pictures is set aside for this.
            out_of_distribution: pictures that are not, where there are some: the combination of the measures learns from them.
            corruptions: make such pictures of in-distribution ones, which are read a second time: True, or names of `CORRUPTIONS`.
            class_of: says of which class a frame is, such as its folder; by default that is what the deployment says. The text of what it
                returns names the class.
            group_of: says to which scene, camera or part a frame belongs: where no calibration is given, those of one are not divided
                between training and calibration. Without it the frames of a video or camera go by stretches of it.
            progress: True draws a bar in a terminal; a function is called with what is under way, how many pictures are done, and how
                many there are (0: not known); from a worker thread once all are inferred.
            scores: see `fit_arrays`; so ``max_bank`` and ``seed``.
            max_bank: see there.
            seed: see there.

        Raises:
            SpecError: the deployment gives no features, or there are too few pictures.
        """
        arrays = await training_arrays(
            deployment, in_distribution, calibration=calibration, out_of_distribution=out_of_distribution, corruptions=corruptions,
            class_of=class_of, group_of=group_of, progress=progress, seed=seed,
        )  # fmt: skip

        def fitted(show: Progress) -> Any:
            # Handed over, not held: what the model does not keep is freed while it is made.
            return cls.fit_arrays(
                arrays.pop("features"), arrays.pop("logits"), arrays.pop("labels"),
                calibration=arrays.pop("calibration", None), out_of_distribution=arrays.pop("out_of_distribution", None),
                last_layer=arrays.pop("last_layer"), names=arrays.pop("names"), class_names=arrays.pop("class_names"),
                groups=arrays.pop("groups"), scores=scores, max_bank=max_bank, seed=seed, progress=show,
            )  # fmt: skip

        return await fitted_in_thread(fitted, progress)

    async def screen(
        self,
        deployment: Deployment,
        pictures: sources.Pictures,
        *,
        false_discovery_rate: float = 0.1,
        strangest: int = 0,
        what: str = "screening",
        progress: bool | Progress | None = None,
    ) -> Screened:
        """Score many pictures, and flag those out of distribution so that few of the flagged are there by chance (see `screen`).

        They are streamed through the deployment, whose hooks and monitors do not see them. Cancelling leaves nothing behind.

        Args:
            deployment: open, with the features that the model was fitted on.
            pictures: as `fit` takes them.
            false_discovery_rate: expected share of in-distribution pictures among those flagged, in (0, 1).
            strangest: of so many pictures a thumbnail and an explanation are kept.
            what: the pictures are called in messages.
            progress: as in `fit`.

        Raises:
            SpecError: the deployment does not give the features, or the rate is out of its range.
        """
        return await screen_pictures(
            self, deployment, pictures, false_discovery_rate=false_discovery_rate, strangest=strangest, what=what, progress=progress
        )  # fmt: skip

    @property
    def last_layer(self) -> LastLayer | None:
        """The last layer of the network, where it is known."""
        return self._parts.last_layer

    @staticmethod
    def score_at(p_value: float) -> float:
        """Return the score of a p-value, 0.05 / (0.05 + p)."""
        return _EVEN / (_EVEN + p_value)

    @staticmethod
    def p_value_at(score: float) -> float:
        """Return the p-value that has a score, 0.05 · (1 / score − 1); it is above 1 where every frame has a higher score."""
        return _EVEN * (1 / score - 1) if score > 0 else float("inf")

    @property
    def is_quick(self) -> bool:
        """Whether to score a frame takes less than a millisecond, so that the event loop can do it."""
        return self.cost_seconds < MOST_SECONDS_ON_LOOP

    def attached(self, description: ModelDescription, /) -> None:
        """Check that a model gives the features that this one was fitted on; `Deployment.attach` asks.

        Raises:
            SpecError: it does not, or this one scores with logits, which a prediction does not have, and does not know the last layer.
        """
        check_features(description.name, description.feature_width, self.width)
        if self.needs_logits and self.last_layer is None:
            raise SpecError(
                f"this OOD model scores with logits ({self.classes} for each frame), which predictions of {description.name} do not have: pass "
                "last_layer=await deployment.last_layer() to fit_arrays to have them computed, or fit without logits"
            )

    async def observe(self, _frame: Frame, prediction: Prediction, /) -> Prediction:
        """Return a prediction with its ``ood_score``; an attached model is asked for every inference of the deployment.

        Raises:
            SpecError: the prediction has no features that fit.
        """
        if self.is_quick:
            p_value = self.p_value_of(prediction)
        else:
            p_value = await anyio.to_thread.run_sync(self.p_value_of, prediction, limiter=scoring_threads())
        return changed(prediction, ood_score=self.score_at(p_value))

    def p_value_of(self, prediction: Prediction) -> float:
        """Return the p-value of a prediction: up to rounding, ``p_value(*evidence(prediction))``, in a third of the time.

        Raises:
            SpecError: the prediction has no features that fit.
        """
        glance = self._parts.glance
        if glance is None:
            return float(self.p_value(*self.evidence(prediction)))
        features = vector_of(prediction)
        if features.shape != (self.width,):
            check_features("the prediction", features.shape[-1], self.width)
        energy = 0.0
        if glance.needs_energy:
            if self.last_layer is None:
                raise SpecError(
                    f"logits: this model scores with logits ({self.classes} for each frame), and predictions have none"
                )
            energy = energy_of(self.last_layer, features, prediction.class_scores)
        log_p = self._parts.survival.log_p_of(glance(features, energy))
        return math.exp(max(log_p, _LEAST_LOG_P))

    def evidence(self, prediction: Prediction) -> Evidence:
        """Return features and logits of a prediction, as `score`, `p_value` and `explain` take them.

        Raises:
            SpecError: it has no features.
        """
        return evidence_of(prediction, self.last_layer if self.needs_logits else None)

    @classmethod
    def fit_arrays(
        cls,
        features: ArrayLike,
        logits: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        *,
        calibration: Numbers | None = None,
        out_of_distribution: Numbers | None = None,
        last_layer: LastLayer | None = None,
        scores: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        groups: ArrayLike | None = None,
        max_bank: MostInBank = "auto",
        seed: int = 0,
        progress: Progress = unseen,
    ) -> Self:
        """Fit a model on features of in-distribution pictures.

        Args:
            features: N×D.
            logits: N×C; logarithms of probabilities will do.
            labels: N class indices; by default the largest logit's, and one class for all where there are no logits.
            calibration: features, or features and logits, of other in-distribution pictures, best ones that the
                network was not trained on; by default a part of the pictures is set aside for this. Those that are training pictures
                too are left out, and logged.
            out_of_distribution: features, or features and logits, of pictures that are not; the combination of the
                measures learns from them if that is better than the default.
            last_layer: of the network.
            scores: names of the measures, of `SCORES`; by default those that do well on most data.
            names: N texts to name training pictures by, such as paths.
            class_names: texts that the labels are numbers of, by which `combine` knows a class again; without them a label means the same in
                all models.
            groups: N whole numbers, the same for pictures that are alike, such as those of one scene: where no calibration is given,
                they are not divided.
            max_bank: how many training pictures to look for neighbours in, chosen to lie near all others; None takes all, "auto" as many
                as cost little beside a network at work: 2,048 of 128 numbers, 512 of 512, never fewer than 500.
            seed: of what is drawn by chance.
            progress: called with what is under way, how much of it is done, and how much there is; what it raises ends the fit.

        Raises:
            SpecError: arrays do not fit together, are not finite or have too few rows, or a measure needs what is not given.
        """
        if max_bank is not None and max_bank != "auto" and max_bank < 1:
            raise SpecError(f"max_bank: at least 1 picture is needed, got {max_bank!r}")
        batch = batch_of("features", (features, logits), last_layer=last_layer)
        count, width = batch.features.shape
        classes = None if batch.rows is None else batch.rows.shape[1]
        given = labels_of(labels, batch)
        del features, logits  # a caller who does not hold them either has their memory back
        if names is not None and len(names) != count:
            raise SpecError(f"names: {count} are needed, one for each row of the features, got {len(names)}")
        if class_names is not None:
            class_names = class_names_of(class_names, given)
        index = np.arange(count)
        if calibration is None:
            index, held = split(batch.features, groups_of(groups, count), np.random.default_rng((seed, 2)))
            batch, held_out = batch.take(index), batch.take(held)
            logger.warning(
                "no calibration pictures are given: %d of %d are set aside; false-alarm rates hold only if the network was not trained "
                "on these", len(held), count,
            )  # fmt: skip
        else:
            held_out = batch_of("calibration", calibration, width=width, classes=classes, last_layer=last_layer)
            held_out = apart(batch, held_out)
        strange = None
        if out_of_distribution is not None:
            strange = batch_of(
                "out_of_distribution", out_of_distribution, width=width, classes=classes, last_layer=last_layer
            )
        measures, parts, learned = fit(
            batch,
            given[index],
            index,
            held_out,
            strange=strange,
            last_layer=last_layer,
            names=scores,
            most_in_bank=max_bank,
            seed=seed,
            progress=progress,
        )
        facts = {
            "measures": list(measures),
            "learned": learned,
            "names": None if names is None else [str(name) for name in names],
            "class_names": class_names,
            "set_aside": calibration is None,
            "scores": None if scores is None else list(scores),
            "max_bank": max_bank,
            "seed": seed,
        }
        return cls(parts, facts)

    def score(self, features: ArrayLike, logits: ArrayLike | None = None) -> Any:
        """Return how unusual features are: a falling function of `p_value`, 0.5 at a p-value of 0.05, near 1 is OOD.

        Args:
            features: D, or N×D.
            logits: C, or N×C.

        Returns:
            0.05 / (0.05 + p): one number for one vector, N for N.

        Raises:
            SpecError: they have another width than the model, are not finite, or logits are needed.
        """
        batch, alone = self._frames(features, logits)
        return _plain(_EVEN / (_EVEN + self._p_values(batch)), alone)

    def p_value(self, features: ArrayLike, logits: ArrayLike | None = None) -> Any:
        """Return the share of in-distribution pictures that are at least as unusual; in (0, 1].

        Flagging what has a p-value of at most ``a`` flags a share ``a`` of in-distribution pictures, on average over calibration sets;
        below 1 / (n + 1) it is an estimate that only ranks (see `check_rate`).

        Args:
            features: D, or N×D.
            logits: C, or N×C.

        Raises:
            SpecError: as `score`.
        """
        batch, alone = self._frames(features, logits)
        return _plain(self._p_values(batch), alone)

    def conformal_p_value(self, features: ArrayLike, logits: ArrayLike | None = None) -> Any:
        """Return (1 + how many of n calibration pictures are at least as unusual) / (n + 1), for `screen`.

        Args:
            features: D, or N×D.
            logits: C, or N×C.

        Raises:
            SpecError: as `score`.
        """
        batch, alone = self._frames(features, logits)
        return _plain(conformal_p_values(self._strangeness(batch), self._parts.calibration), alone)

    def explain(self, features: ArrayLike, logits: ArrayLike | None = None, *, neighbours: int = 5) -> OODExplanation:
        """Return why one frame has its score.

        Args:
            features: D.
            logits: C.
            neighbours: how many training pictures to name.

        Raises:
            SpecError: as `score`, or there is more than one frame.
        """
        batch, _ = self._frames(features, logits)
        if len(batch) != 1:
            raise SpecError(f"features: one frame can be explained at a time, got {len(batch)}")
        parts = self._parts
        log_p = parts.log_p_by_measure(batch)[0]
        measures = [
            MeasureExplanation(name, float(score(batch)[0]), float(np.exp(max(log, _LEAST_LOG_P))))
            for name, score, log in zip(self.measures, parts.scores, log_p, strict=True)
        ]
        strength = parts.combination.weights * -log_p
        distances = np.sqrt(np.maximum(batch.of(parts.bank).plain[0], 0))
        nearest = np.argsort(distances, kind="stable")[: max(neighbours, 0)]
        names = self._facts["names"]
        p_value = float(self._p_values(batch)[0])
        return OODExplanation(
            score=_EVEN / (_EVEN + p_value),
            p_value=p_value,
            measures=tuple(measures[i] for i in np.argsort(-strength, kind="stable")),
            neighbours=tuple(
                Neighbour(None if names is None else names[number], number, float(distances[row]))
                for row, number in zip(nearest.tolist(), parts.pictures[nearest].tolist(), strict=True)
            ),
        )

    def check_rate(self, false_alarm_rate: float) -> None:
        """Check that the model can keep a false-alarm rate.

        Raises:
            SpecError: the rate is not between 0 and 1, or the calibration set too small; the message says how many
                pictures are needed.
        """
        needed = pictures_needed(false_alarm_rate)
        if needed > self.calibration_size:
            wanted = calibration_needed(needed)
            hint = ""
            if self._facts.get("set_aside"):
                in_all = size_in_all(wanted)
                hint = (
                    " (pass calibration=: no more are set aside)"
                    if in_all is None
                    else f" (or {in_all:,} pictures in all)"
                )
            raise SpecError(
                f"false_alarm_rate: {false_alarm_rate:.3g} needs {wanted:,} calibration pictures{hint}, "
                f"and this model was fitted with {len(self._parts.kept.calibration.features):,}, of which "
                f"{self.calibration_size:,} give p-values: its smallest rate is {1 / (self.calibration_size + 1):.2g}"
            )

    def save(self, path: Path | str) -> None:
        """Write the model to a file: that of `aiohooks.array_file`, with the parts as in `aiohooks.monitors.ood.model_file`.

        Blocks.

        Raises:
            OSError: it cannot be written.
        """
        self._checksum = write_parts(path, self._parts, self._facts)
        self.path = Path(path).absolute()

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote; its arrays are mapped from the file.

        Blocks.

        Raises:
            LoadError: the file is not there, is no OOD model, newer, cut off or damaged.
        """
        parts, facts, checksum = read_parts(path, _TYPES)
        if type(parts) is not Fitted or not facts.keys() >= _FACTS:
            raise LoadError(f"{path}: parts of this OOD model are missing; fit it again")
        model = cls(parts, facts)
        model.path, model._checksum = Path(path).absolute(), checksum
        return model

    def file(self) -> SavedFile:
        """Return what `path` held when it was saved or loaded, to be written elsewhere: this model, whatever the file holds by now.

        Raises:
            SpecError: there is no such file.
        """
        if self.path is None:
            raise SpecError("the OOD model was never saved: save it to a file first")
        return SavedFile(
            self.path,
            self._checksum,
            write=partial(write_parts, root=self._parts, facts=self._facts),
            is_there=partial(holds, self.path, self._checksum),
        )

    @classmethod
    def combine(cls, models: Iterable[Self]) -> Self:
        """Return one model of several that were fitted on different machines, each with its own pictures.

        It is fitted on what they keep: of each up to 10,000 training pictures, and all that they were calibrated on. What one was calibrated
        on and another was trained on, or calibrated on too, counts once: as a training picture, or as one to calibrate on. Classes are the same
        that have the same name.

        Raises:
            SpecError: there is none, they differ in width, classes, measures asked for or last layer, some but not all of them have names of
                classes, or too few pictures are left to calibrate on.
        """
        each = list(models)
        arguments = combined([model._parts for model in each], [model._facts for model in each])
        return cls.fit_arrays(arguments.pop("features"), **arguments)

    def _frames(self, features: ArrayLike, logits: ArrayLike | None) -> tuple[Batch, bool]:
        vectors = np.asarray(features)
        alone = vectors.ndim == 1
        rows = rows_of("features", vectors[None] if alone else vectors, np.float32, self.width)
        if not self.needs_logits:
            return Batch(rows), alone
        if logits is not None:
            given = np.asarray(logits)
            return (
                Batch(rows, rows_of("logits", given[None] if alone else given, np.float64, self.classes, len(rows))),
                alone,
            )
        if self._parts.last_layer is None:
            raise SpecError(
                f"logits: this model scores with logits ({self.classes} for each frame), and none are given"
            )
        return Batch(rows, through(self._parts.last_layer, rows)), alone

    def _strangeness(self, batch: Batch) -> Doubles:
        rows = max(1, min(256, _DISTANCES_AT_ONCE // len(self._parts.bank)))
        with np.errstate(over="ignore", invalid="ignore"):
            if len(batch) <= rows:
                found = self._parts.strangeness(batch)
            else:
                found = np.concatenate([self._parts.strangeness(part) for part in chunks(batch, rows)])
        found[np.isnan(found)] = np.inf
        return found

    def _p_values(self, batch: Batch) -> Doubles:
        log_p = self._parts.survival.log_p(self._strangeness(batch))
        p_values: Doubles = np.exp(np.maximum(log_p, _LEAST_LOG_P))
        return p_values


def _plain(values: Doubles, alone: bool) -> Any:
    return float(values[0]) if alone else values
