"""What an OOD model is made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch, Doubles, Floats
from aiohooks.monitors.ood.combination import Combination
from aiohooks.monitors.ood.conformal import Survival
from aiohooks.monitors.ood.glance import Glance
from aiohooks.monitors.ood.scores import Score


@dataclass(frozen=True, eq=False)
class Pictures:
    """Features and logits that were given, kept to fit anew with those of other models.

    Attributes:
        features: N×D.
        logits: N×C, or None.
    """

    features: Floats
    logits: Doubles | None

    @property
    def batch(self) -> Batch:
        """The same, to be scored."""
        return Batch(self.features, self.logits)


@dataclass(frozen=True, eq=False)
class Kept:
    """What a model was fitted on, or a part of it drawn by chance.

    Attributes:
        training: in-distribution pictures.
        labels: of the training pictures, as they were given or seen by the network.
        index: of the training pictures, their numbers among those given.
        calibration: in-distribution pictures that were held out.
        strange: pictures out of distribution, or None.
    """

    training: Pictures
    labels: NDArray[np.int64]
    index: NDArray[np.int64]
    calibration: Pictures
    strange: Pictures | None


@dataclass(frozen=True, eq=False)
class Fitted:
    """Measures, and how what they say becomes a p-value.

    Attributes:
        scores: M measures.
        survivals: M, from values of the measures to shares of in-distribution pictures.
        combination: of the measures.
        calibration: n, rising: what the combination says of pictures that nothing else was fitted on.
        survival: of these.
        bank: training pictures, to name those that are nearest.
        pictures: of the bank, their numbers among those given.
        last_layer: of the network, or None.
        kept: what it was fitted on.
    """

    scores: tuple[Score, ...]
    survivals: tuple[Survival, ...]
    combination: Combination
    calibration: Doubles
    survival: Survival
    bank: Bank
    pictures: NDArray[np.int64]
    last_layer: LastLayer | None
    kept: Kept

    def log_p_by_measure(self, batch: Batch) -> Doubles:
        """Return N×M logarithms of shares of in-distribution pictures."""
        return log_p_by_measure(self.scores, self.survivals, batch)

    def strangeness(self, batch: Batch) -> Doubles:
        """Return what the combination says of N frames."""
        if self.glance is not None:
            return self.glance.each(batch)
        return self.combination(self.log_p_by_measure(batch))

    @cached_property
    def glance(self) -> Glance | None:
        """The combination for one frame at a time; None where its measures are not the default ones."""
        return Glance.of(self.scores, self.survivals, self.combination)


def log_p_by_measure(scores: tuple[Score, ...], survivals: tuple[Survival, ...], batch: Batch) -> Doubles:
    """Return N×M logarithms of shares of in-distribution pictures."""
    found = np.empty((len(batch), len(scores)))
    for column, (score, survival) in enumerate(zip(scores, survivals, strict=True)):
        found[:, column] = survival.log_p(score(batch))
    return found
