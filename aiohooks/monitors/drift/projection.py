"""From a model's features to the few numbers of an event whose sums tell how a stream moved."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.covariance import Floats, Spread, spread
from aiohooks.monitors.drift.product import product

MOST_DEVIATIONS = 64.0
"""Beyond so many standard deviations of the baseline a component counts as being there: one broken event is one event."""

RIDGE = 0.1

_PAIRS = 1000


class Projected(NamedTuple):
    """Features of N events.

    Attributes:
        components: (N, k), along the principal directions, in standard deviations of the baseline.
        waves: (N, m), cosines then sines, in [-1, 1].
        fine_waves: (N, m), likewise.
        positions: (N, k), along the principal directions, in the units of the features.
    """

    components: Floats
    waves: Floats
    fine_waves: Floats
    positions: Floats


class Projection(NamedTuple):
    """Principal components, and random Fourier features of them, fixed when a baseline is fitted.

    The mean of the components over a window tells that its events moved together. The mean of random Fourier
    features is the window's characteristic function at random points, and tells what else changed about their
    distribution (A. Rahimi, B. Recht, "Random features for large-scale kernel machines", 2007). Those for a wide kernel see
    what moves far, along the widest directions; those for a narrow kernel, in standard deviations, also what moves little
    along the others, and a few events that lie together.

    Attributes:
        spread: of the features.
        frequencies: (k, m / 2), drawn for a Gaussian kernel as wide as the median distance of two events.
        fine_frequencies: (k, m / 2), for one half as wide as the median distance of their components.
    """

    spread: Spread
    frequencies: Floats
    fine_frequencies: Floats

    @classmethod
    def fit(cls, features: Floats, *, components: int, waves: int, rng: np.random.Generator) -> "Projection":
        """Choose it for features (N, D).

        Args:
            features: finite.
            components: at most so many principal directions.
            waves: how many random Fourier features of each kind, an even number.
            rng: draws the frequencies.
        """
        found = spread(features, components, ridge=RIDGE)
        positions = (features - found.mean) @ found.directions
        one, other = rng.integers(len(features), size=(2, _PAIRS))
        pairs = one != other
        apart = positions[one[pairs]] - positions[other[pairs]]
        width, fine_width = (
            float(np.median(np.linalg.norm(each, axis=1))) or 1.0 for each in (apart, apart / found.deviations / 2)
        )
        shape = (positions.shape[1], waves // 2)
        return cls(
            found,
            rng.standard_normal(shape) / width,
            rng.standard_normal(shape) / found.deviations[:, None] / fine_width,
        )

    @property
    def width(self) -> int:
        """How many features an event has."""
        return len(self.spread.mean)

    def __call__(self, features: NDArray[np.floating]) -> Projected:
        """Project features (N, D); it makes no difference which events come together."""
        positions = product(features - self.spread.mean, self.spread.directions)
        limit = MOST_DEVIATIONS
        components = np.clip(positions / self.spread.deviations, -limit, limit)
        waves, fine_waves = (
            np.concatenate([np.cos(phases), np.sin(phases)], 1)
            for phases in (product(positions, each) for each in (self.frequencies, self.fine_frequencies))
        )
        return Projected(components, waves, fine_waves, positions)
