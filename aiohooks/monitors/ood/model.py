"""Whether features are like those that a model was fitted on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.explanation import OODExplanation


class OODModel:
    """Tells how unusual features are, as a p-value and as a score.

    Attributes:
        width: D, how many numbers a feature vector has.
        classes: C, how many logits; None if the model was fitted without.
        needs_logits: whether it scores with logits; where it knows the last layer it computes them if none are given.
        calibration_size: n, how many in-distribution pictures its p-values were taken from.
        cost_seconds: time to score one frame, as measured when the model was made.
        nbytes: memory of its arrays.
    """

    width: int
    classes: int | None
    needs_logits: bool
    calibration_size: int
    cost_seconds: float
    nbytes: int

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
