"""An alarm within tens of frames: a moving average of the features, watched frame by frame.

It depends on the order of events, and so belongs to one stream; windows, which merge, say the same more slowly and with
more power.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.layout import COMPONENTS, NORM, UNIT, Events, Layout, histogram

_SHARE = 0.06
"""Of the newest event in the average."""
_MEMORY = (2 - _SHARE) / _SHARE
_STEPS, _BEFORE, _RUNS = 250, 60, 1000
_TAIL = 0.02
_MARGIN = 0.7
"""The threshold is set for so many of the false alarms that are allowed: what it is taken from is only a sample, too."""


@dataclass(frozen=True, slots=True, eq=False)
class AlarmNull:
    """What the moving average is by chance.

    Attributes:
        centre: (V,), the mean of the vectors that it is taken of.
        maxima: (R,), ascending, the largest values of runs of 250 events.
    """

    centre: Floats
    maxima: Floats

    @classmethod
    def of(cls, vectors: Floats, together: int, rng: np.random.Generator) -> "AlarmNull":
        """Follow runs of vectors (N, V) that are drawn from a baseline, so many consecutive ones together."""
        centre = vectors.mean(0)
        centred = (vectors - centre).astype(np.float32)
        length = -(-(_BEFORE + _STEPS) // together)
        first = rng.integers(len(vectors) // together, size=(length, _RUNS)) * together
        average = np.zeros((_RUNS, vectors.shape[1]), np.float32)
        maxima = np.zeros(_RUNS)
        for step in range(_BEFORE + _STEPS):
            average += np.float32(_SHARE) * (centred[first[step // together] + step % together] - average)
            if step >= _BEFORE:
                maxima = np.maximum(maxima, np.einsum("ij,ij->i", average, average))
        # The centre of a sample is not that of the stream, which moves the average away from it for good.
        return cls(centre, np.sort(maxima) * (1 + _MEMORY / len(vectors)))

    def threshold(self, rate: float) -> float:
        """Return the value that is passed by chance at such a rate per event."""
        within = -math.expm1(-_STEPS * rate * _MARGIN)
        if within >= _TAIL:
            return float(np.quantile(self.maxima, 1 - within))
        first = len(self.maxima) - int(_TAIL * len(self.maxima))
        start = float(self.maxima[first - 1])
        return start + (float(self.maxima[first:].mean()) - start) * math.log(_TAIL / within)


def vectors_of(events: Events, layout: Layout) -> Floats:
    """Return what the average is taken of, (N, V): components, and the norm of the features as a normal score.

    The norm weighs as much as a 32nd of the components together: it often tells most of all numbers about a picture
    that a network knows little of (J. Park et al., "Understanding the feature norm for out-of-distribution detection", 2023).
    """
    where = layout[histogram(NORM)]
    bins = where.stop - where.start
    normal = NormalDist()
    scores = np.array([normal.inv_cdf((place + 0.5) / bins) for place in range(bins)])
    place = events.bins(where)
    vectors = events.real[:, layout[COMPONENTS]] / UNIT
    weight = math.sqrt(vectors.shape[1] / 32)
    return np.concatenate([vectors, weight * scores[place][:, None]], 1)


class MovingAverageAlarm:
    """Sounds when the exponentially weighted moving average of the features is farther away than by chance.

    C. A. Lowry et al., "A multivariate exponentially weighted moving average control chart" (1992). It begins anew
    whenever it sounded, so that it goes on sounding while the drift lasts.

    Args:
        null: what it is by chance.
        rate: false alarms per event, in (0, 0.01]; in a stream whose frames are alike for a while, more.

    Raises:
        SpecError: the rate is out of its range.

    Attributes:
        sounded: the value with which it sounded last; above 1.
    """

    def __init__(self, null: AlarmNull, rate: float) -> None:
        if not 0 < rate <= 0.01:
            raise SpecError(f"{1000 * rate:g} false alarms per 1,000 events: it must be above 0 and at most 10")
        self._null = null
        self._threshold = null.threshold(rate)
        self._average = np.zeros(len(null.centre))
        self.sounded = 0.0

    @property
    def value(self) -> float:
        """How far away the average is, as a multiple of what sounds the alarm."""
        return float(self._average @ self._average) / self._threshold

    def update(self, vectors: Floats) -> NDArray[np.int64]:
        """Take vectors (N, V) in, in the order of their events, and return at which of them the alarm sounded."""
        sounded = []
        average, threshold = self._average, self._threshold
        for index, step in enumerate(_SHARE * (vectors - self._null.centre)):
            average *= 1 - _SHARE
            average += step
            if average @ average >= threshold:
                sounded.append(index)
                self.sounded = float(average @ average) / threshold
                average[:] = 0
        return np.array(sounded, np.int64)
