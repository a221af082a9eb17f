"""The default measures of one frame, in as few calls of numpy as possible.

Beside a network at work nothing of Python or numpy stays in the processor's cache from one frame to the next, so that a call that takes a
microsecond in a loop takes ten. The arithmetic is that of the measures themselves, put together: a feature vector is scaled to length 1 after it
was multiplied with the directions, class means are looked at like pictures of the bank, and all distances come from one product.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np

from aiohooks.errors import SpecError
from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import SMALLEST_NORM, Batch, Doubles, Floats, roots
from aiohooks.monitors.ood.combination import Combination
from aiohooks.monitors.ood.conformal import Survival
from aiohooks.monitors.ood.scores import Score
from aiohooks.monitors.ood.scores.discriminant import Discriminant
from aiohooks.monitors.ood.scores.energy_two_sided import EnergyTwoSided
from aiohooks.monitors.ood.scores.knn import KNN
from aiohooks.monitors.ood.scores.length import Length
from aiohooks.monitors.ood.scores.local_mahalanobis import LocalMahalanobis
from aiohooks.monitors.ood.scores.mahalanobis_unit import MahalanobisUnit
from aiohooks.monitors.ood.scores.nearest import Nearest

_SAFE_SQUARES = (1e-20, 1e30)
"""Between these, a sum of squares in float32 has lost nothing to overflow or underflow."""

_MOST_PRODUCTS = 1 << 18
"""From more multiplications on OpenBLAS shares a product among threads, which then wait for those of the network."""

_MOST_NUMBERS = 1 << 22
"""Larger banks are not held a second time in the form that is quick for one frame."""


class Seen(NamedTuple):
    """What the measures go by.

    Attributes:
        length: of the features, or of their roots where no measure asks for it.
        energy: −logsumexp of the logits; 0 where no measure asks for it.
        nearest: squared distance to the nearest picture, of features of length 1.
        kth: to the k-th nearest.
        local: to the nearest, in units of the spread.
        mean: to the nearest mean of a class, in units of the spread.
        discriminant: the same, less that to the centre by the covariance of all; 0 where no measure asks for it.
    """

    length: float
    energy: float
    nearest: float
    kth: float
    local: float
    mean: float
    discriminant: float


Measure = Callable[[Seen], float]


class Glance:
    """Says of one frame at a time what a combination of default measures says.

    Args:
        bank: that the measures look into.
        neighbours: k.
        measures: of what was seen of a frame, each gives its value.
        survivals: of the measures.
        weights: of the measures.
        needs_length: whether a measure asks for the length of the features.
        needs_energy: whether a measure asks for the energy of the logits.
        between: of the `Discriminant`, if it is among the measures.

    Attributes:
        needs_energy: whether a measure asks for the energy of the logits.
    """

    def __init__(
        self,
        bank: Bank,
        neighbours: int,
        measures: list[Measure],
        survivals: tuple[Survival, ...],
        weights: Doubles,
        *,
        needs_length: bool,
        needs_energy: bool,
        between: Doubles | None,
    ) -> None:
        whitening, pictures = bank.whitening, len(bank)
        kept, width = whitening.directions.shape
        self.needs_energy = needs_energy
        self._kept, self._pictures, self._neighbours = kept, pictures, neighbours
        # Two more coordinates are always 1, by which the squared lengths of the pictures are multiplied; the last row is for |x - centre|.
        self._axes = np.concatenate([whitening.directions, np.zeros((2, width), np.float32), whitening.centre[None]])
        self._origin = np.append(whitening.directions @ whitening.centre, np.full(2, -1, np.float32))
        self._centre_square = float(np.vdot(whitening.centre, whitening.centre))
        self._rest_precision = float(whitening.rest_precision)
        self._metrics = np.zeros((2, kept + 2), np.float32)
        self._metrics[0, :kept] = -2
        self._metrics[1, :kept] = -2 * whitening.precision
        self._metrics[0, kept] = self._metrics[1, kept + 1] = 1
        plain, local = bank.squares
        columns = np.zeros((kept + 2, pictures + len(whitening.means)), np.float32)
        columns[:kept, :pictures], columns[:kept, pictures:] = bank.kept.T, whitening.means.T
        columns[kept, :pictures] = plain
        columns[kept + 1, :pictures], columns[kept + 1, pictures:] = local, whitening.mean_squares
        step = max(1, _MOST_PRODUCTS // columns.shape[0] // 2)
        self._blocks = [np.ascontiguousarray(columns[:, at : at + step]) for at in range(0, columns.shape[1], step)]
        self._starts = np.array([0, pictures])
        self._rooted, self._needs_length = whitening.rooted, needs_length
        # A product of -2 times the frame with the means, halved.
        self._between = None if between is None else (between / 4).astype(np.float32)
        self._mean_squares = whitening.mean_squares
        self._terms = [
            (measure, survival.log_p_of, float(weight))
            for measure, survival, weight in zip(measures, survivals, weights, strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Memory that it takes, beside that of the measures."""
        between = () if self._between is None else (self._between,)
        return sum(array.nbytes for array in (self._axes, self._metrics, *self._blocks, *between))

    @classmethod
    def of(cls, scores: tuple[Score, ...], survivals: tuple[Survival, ...], combination: Combination) -> Self | None:
        """Return a combination at a glance; None if it has other measures, or a bank that is too large to be quick."""
        banks = [score.bank for score in scores if isinstance(score, Nearest | KNN | LocalMahalanobis)]
        if not banks or any(bank is not banks[0] for bank in banks):
            return None
        bank = banks[0]
        measures = [_measure_of(score, bank) for score in scores]
        known = [measure for measure in measures if measure is not None]
        if len(known) < len(scores) or not bank.whitening.unit or bank.kept.size > _MOST_NUMBERS:
            return None
        neighbours = next((score.k for score in scores if isinstance(score, KNN)), 1)
        needs_energy = any("logits" in score.needs for score in scores)
        between = next((score.between for score in scores if isinstance(score, Discriminant)), None)
        return cls(
            bank, neighbours, known, survivals, combination.weights, needs_energy=needs_energy, between=between,
            needs_length=any(isinstance(score, Length) for score in scores),
        )  # fmt: skip

    def __call__(self, features: Floats, energy: float = 0.0) -> float:
        """Return what the combination says of one frame.

        Args:
            features: D.
            energy: of its logits.

        Raises:
            SpecError: the features are not finite.
        """
        seen = self._look(features, energy)
        strangeness = 0.0
        for measure, log_p, weight in self._terms:
            strangeness -= weight * log_p(measure(seen))
        return strangeness

    def each(self, batch: Batch) -> Doubles:
        """Return what the combination says of N frames."""
        energies = batch.energy.tolist() if self.needs_energy else [0.0] * len(batch)
        return np.array([self(row, energy) for row, energy in zip(batch.features, energies, strict=True)])

    def _look(self, features: Floats, energy: float) -> Seen:
        if self._rooted:
            given, features = features, roots(features)
        with np.errstate(over="ignore"):
            square = float(np.dot(features, features))
        unit_square = 1.0
        if _SAFE_SQUARES[0] < square < _SAFE_SQUARES[1]:
            length = math.sqrt(square)
            found = np.dot(self._axes, features)
            found *= np.float32(1 / length)
        else:
            features, length = _scaled(features)
            unit_square = float(np.dot(features, features))
            found = np.dot(self._axes, features)
        if self._rooted and self._needs_length:
            length = _length(given)
        # |x|² + |b|² − 2 x·b, for both metrics
        both = (found[:-1] - self._origin) * self._metrics
        along, weighed = np.dot(both[:, : self._kept], both[0, : self._kept]).tolist()
        offset = unit_square + self._centre_square - 2 * float(found[-1])
        along, weighed = along / 4, weighed / 4
        rest = max(offset - along, 0.0)
        plain, local = along + rest, weighed + rest * self._rest_precision
        distances = [np.dot(both, block) for block in self._blocks]
        near, locally = distances[0] if len(distances) == 1 else np.concatenate(distances, axis=1)
        nearest = np.partition(near[: self._pictures], self._neighbours - 1)[: self._neighbours].tolist()
        picture, mean = np.minimum.reduceat(locally, self._starts).tolist()
        discriminant = 0.0
        if self._between is not None:
            along = self._mean_squares - locally[self._pictures :]
            discriminant = mean + float(np.dot(np.dot(self._between, along), along))
        return Seen(
            length, energy, min(nearest) + plain, nearest[-1] + plain, picture + local, mean + local, discriminant
        )


def _scaled(features: Floats) -> tuple[Floats, float]:
    length = _length(features)
    if not math.isfinite(length):
        raise SpecError("features: row 0 holds NaN or infinity")
    length = max(length, SMALLEST_NORM)
    return (features.astype(np.float64) / length).astype(np.float32), length


def _length(features: Floats) -> float:
    doubles = features.astype(np.float64)
    return math.sqrt(float(np.dot(doubles, doubles)))


def _measure_of(score: Score, bank: Bank) -> Measure | None:
    match score:
        case Nearest():
            return lambda seen: math.sqrt(max(seen.nearest, 0.0))
        case KNN():
            return lambda seen: math.sqrt(max(seen.kth, 0.0))
        case LocalMahalanobis():
            return lambda seen: math.sqrt(max(seen.local, 0.0))
        case MahalanobisUnit(whitening) if whitening is bank.whitening:
            return lambda seen: max(seen.mean, 0.0)
        case Discriminant(whitening) if whitening is bank.whitening:
            return lambda seen: seen.discriminant
        case EnergyTwoSided(shifted=False):
            return lambda seen: score.of(seen.energy)
        case Length():
            return lambda seen: score.of(seen.length)
        case _:
            return None
