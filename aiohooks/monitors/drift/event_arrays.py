"""What is known of many events, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.covariance import Floats

LARGEST_FEATURE = 1e100
"""So that no square of one overflows."""


@dataclass(frozen=True, slots=True, eq=False)
class EventArrays:
    """N events: a model's features of each, and what else is known of it.

    Attributes:
        features: (N, D).
        probabilities: (N, C) of the labels, at least 0; a row of zeros where nothing was found. None if the model gives none.
        image_stats: numbers of the pictures, (N,) by name, such as brightness and sharpness.

    Raises:
        SpecError: an array has another shape, or is not of numbers.
    """

    features: Floats
    probabilities: Floats | None = None
    image_stats: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        features: ArrayLike,
        probabilities: ArrayLike | None = None,
        image_stats: Mapping[str, ArrayLike] | None = None,
    ) -> "EventArrays":
        """Take anything that numpy makes arrays of."""
        vectors = _numbers("features", features, 2)
        count = len(vectors)
        rows = None if probabilities is None else _numbers("probabilities", probabilities, 2, count)
        stats = {name: _numbers(f"image_stats[{name!r}]", one, 1, count) for name, one in (image_stats or {}).items()}
        return cls(vectors, rows, stats)

    def __len__(self) -> int:
        return len(self.features)

    def usable(self) -> NDArray[np.bool_]:
        """Say of which events the features are finite and at most `LARGEST_FEATURE`, (N,)."""
        return np.asarray((np.abs(self.features) <= LARGEST_FEATURE).all(1))

    def whole(self) -> NDArray[np.bool_]:
        """Say of which events every number is finite, (N,)."""
        finite = self.usable()
        if self.probabilities is not None:
            finite &= np.isfinite(self.probabilities).all(1)
        for numbers in self.image_stats.values():
            finite &= np.isfinite(numbers)
        return finite

    def known(self) -> NDArray[np.bool_]:
        """Say of which events some label has a probability, (N,)."""
        if self.probabilities is None:
            return np.zeros(len(self), bool)
        return np.asarray(np.isfinite(self.probabilities).all(1) & (self.probabilities > 0).any(1))

    def take(self, which: NDArray[np.int64]) -> "EventArrays":
        """Return some of the events."""
        probabilities = None if self.probabilities is None else self.probabilities[which]
        return EventArrays(
            self.features[which], probabilities, {name: one[which] for name, one in self.image_stats.items()}
        )


def _numbers(what: str, values: ArrayLike, dimensions: int, count: int | None = None) -> Floats:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{what}: these are not numbers: {error}") from None
    if array.ndim != dimensions or not array.shape[-1]:
        wanted = "(N, width)" if dimensions == 2 else "(N,)"
        raise SpecError(f"{what}: an array of shape {wanted} is needed, not {array.shape}")
    if count is not None and len(array) != count:
        raise SpecError(f"{what}: there are {len(array):,} rows for {count:,} events")
    return array
