"""Whether features are like those that a model was fitted on."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Self, overload

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.deployment import Deployment
from aiohooks.frame import Frame
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.monitors.ood.collect import check_features
from aiohooks.monitors.ood.explanation import OODExplanation
from aiohooks.monitors.ood.fit import training_arrays
from aiohooks.monitors.ood.watching import MOST_SECONDS_ON_LOOP, Evidence, evidence_of, scoring_threads
from aiohooks.monitors.progress import Progress
from aiohooks.prediction import Prediction
from aiohooks.prediction.assemble import changed
from aiohooks.sources import Pictures


class OODModel:
    """Tells how unusual features are, as a p-value and as a score.

    Attributes:
        width: D, how many numbers a feature vector has.
        classes: C, how many logits; None if the model was fitted without.
        needs_logits: whether it scores with logits; where it knows the last layer it computes them if none are given.
        calibration_size: n, how many in-distribution pictures its p-values were taken from.
        cost_seconds: time to score one frame, as measured when the model was made.
        nbytes: memory of its arrays.
        last_layer: of the network, where it is known.
        path: the file that it was saved to or loaded from; None if there is none.
    """

    width: int
    classes: int | None
    needs_logits: bool
    calibration_size: int
    cost_seconds: float
    nbytes: int
    last_layer: LastLayer | None = None
    path: Path | None = None

    @classmethod
    async def fit(
        cls,
        deployment: Deployment,
        in_distribution: Pictures,
        *,
        calibration: Pictures | None = None,
        out_of_distribution: Pictures | None = None,
        corruptions: bool | Sequence[str] | None = None,
        class_of: Callable[[Frame], Hashable] | None = None,
        progress: bool | Progress | None = None,
        scores: Sequence[str] | None = None,
        max_bank: int | None = 10_000,
        seed: int = 0,
    ) -> Self:
        """Fit a model on pictures, which are streamed through a deployment; its hooks and monitors do not see them.

        Of a picture only its features, logits and name stay in memory. Cancelling leaves nothing behind. Pictures that cannot be
        read are left out, and logged.

        Args:
            deployment: open, with a feature vector: its own, or one that ``Deployment.load(…, features=True)`` exposes.
            in_distribution: pictures like those that the network was trained with: a folder, which is read with its subfolders, or
                anything else that `Deployment.stream` takes.
            calibration: other in-distribution pictures, best ones that the network was not trained on; by default a part of the
                pictures is set aside for this.
            out_of_distribution: pictures that are not, where there are some: the combination of the measures learns from them.
            corruptions: make such pictures of in-distribution ones, which are read a second time: True, or names of `CORRUPTIONS`.
            class_of: says of which class a frame is, such as its folder; by default that is what the deployment says.
            progress: True draws a bar in a terminal; a function is called with what is under way, how many pictures are done, and how
                many there are (0: not known).
            scores: see `fit_arrays`; so ``max_bank`` and ``seed``.
            max_bank: see there.
            seed: see there.

        Raises:
            SpecError: the deployment gives no features, or there are too few pictures.
        """
        arrays = await training_arrays(
            deployment, in_distribution, calibration=calibration, out_of_distribution=out_of_distribution, corruptions=corruptions,
            class_of=class_of, progress=progress, seed=seed,
        )  # fmt: skip
        fitting = partial(cls.fit_arrays, **arrays, scores=scores, max_bank=max_bank, seed=seed)
        return await anyio.to_thread.run_sync(fitting)

    @property
    def is_quick(self) -> bool:
        """Whether to score a frame takes less than a millisecond, so that the event loop can do it."""
        return self.cost_seconds < MOST_SECONDS_ON_LOOP

    def attached(self, description: ModelDescription, /) -> None:
        """Check that a model gives the features that this one was fitted on; `Deployment.attach` asks.

        Raises:
            SpecError: it does not.
        """
        check_features(description.name, description.feature_width, self.width)

    async def observe(self, _frame: Frame, prediction: Prediction, /) -> Prediction:
        """Return a prediction with its ``ood_score``; an attached model is asked for every inference of the deployment.

        Raises:
            SpecError: the prediction has no features that fit.
        """
        if self.is_quick:
            score = self.score(*self.evidence(prediction))
        else:
            score = await anyio.to_thread.run_sync(self._score_of, prediction, limiter=scoring_threads())
        return changed(prediction, ood_score=score)

    def evidence(self, prediction: Prediction) -> Evidence:
        """Return features and logits of a prediction, as `score`, `p_value` and `explain` take them.

        Raises:
            SpecError: it has no features.
        """
        return evidence_of(prediction, self.last_layer if self.needs_logits else None)

    def _score_of(self, prediction: Prediction) -> float:
        return self.score(*self.evidence(prediction))

    @classmethod
    def fit_arrays(
        cls,
        features: ArrayLike,
        logits: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        *,
        calibration: ArrayLike | tuple[ArrayLike, ArrayLike | None] | None = None,
        out_of_distribution: ArrayLike | tuple[ArrayLike, ArrayLike | None] | None = None,
        last_layer: LastLayer | None = None,
        scores: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        max_bank: int | None = 10_000,
        seed: int = 0,
    ) -> Self:
        """Fit a model on features of in-distribution pictures.

        Args:
            features: N×D.
            logits: N×C.
            labels: N class indices; by default the largest logit's, and one class for all where there are no logits.
            calibration: features, or features and logits, of other in-distribution pictures, best ones that the
                network was not trained on; by default a part of the pictures is set aside for this.
            out_of_distribution: features, or features and logits, of pictures that are not; the combination of the
                measures learns from them if that is better than the default.
            last_layer: of the network.
            scores: names of the measures, of `SCORES`; by default those that do well on most data.
            names: N texts to name training pictures by, such as paths.
            max_bank: how many training pictures to keep for finding neighbours; None keeps all.
            seed: of what is drawn by chance.

        Raises:
            SpecError: arrays do not fit together, are not finite or have too few rows, or a measure needs what is not given.
        """
        raise NotImplementedError

    @overload
    def score(self, features: NDArray[np.floating], logits: NDArray[np.floating] | None = None) -> float: ...
    @overload
    def score(self, features: ArrayLike, logits: ArrayLike | None = None) -> float | NDArray[np.float64]: ...
    def score(self, features: ArrayLike, logits: ArrayLike | None = None) -> float | NDArray[np.float64]:
        """Return how unusual features are: a falling function of `p_value`, 0.5 at a p-value of 0.05, near 1 is OOD.

        Args:
            features: D, or N×D.
            logits: C, or N×C.

        Returns:
            One number for one vector, N for N; in [0, 1].

        Raises:
            SpecError: they have another width than the model, are not finite, or logits are needed.
        """
        raise NotImplementedError

    def p_value(self, features: ArrayLike, logits: ArrayLike | None = None) -> float | NDArray[np.float64]:
        """Return the share of in-distribution pictures that are at least as unusual; in (0, 1].

        Flagging what has a p-value of at most ``a`` flags a share ``a`` of in-distribution pictures.
        """
        raise NotImplementedError

    def conformal_p_value(self, features: ArrayLike, logits: ArrayLike | None = None) -> float | NDArray[np.float64]:
        """Return (1 + how many calibration pictures are at least as unusual) / (n + 1), for `screen`."""
        raise NotImplementedError

    def explain(self, features: ArrayLike, logits: ArrayLike | None = None, *, neighbours: int = 5) -> OODExplanation:
        """Return why one frame has its score.

        Args:
            features: D.
            logits: C.
            neighbours: how many training pictures to name.
        """
        raise NotImplementedError

    def check_rate(self, false_alarm_rate: float) -> None:
        """Check that the model can keep a false-alarm rate.

        Raises:
            SpecError: the rate is not between 0 and 1, or the calibration set too small; the message says how many
                pictures are needed.
        """
        raise NotImplementedError

    def save(self, path: Path | str) -> None:
        """Write the model to a file (see `aiohooks.array_file` for the form).

        Raises:
            OSError: it cannot be written.
        """
        raise NotImplementedError

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote; its arrays are mapped from the file.

        Raises:
            LoadError: the file is not there, is no OOD model, newer, cut off or damaged.
        """
        raise NotImplementedError

    @classmethod
    def combine(cls, models: Iterable[Self]) -> Self:
        """Return one model of several that were fitted on different machines, each with its own pictures.

        Raises:
            SpecError: their widths, classes or measures differ.
        """
        raise NotImplementedError
