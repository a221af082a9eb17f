"""Training pictures that are kept to find the nearest ones of a frame."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.ood.batch import Batch, Floats, paired_products
from aiohooks.monitors.ood.coreset import coreset
from aiohooks.monitors.ood.whitening import Whitening
from aiohooks.monitors.progress import Progress, unseen

MostInBank = int | Literal["auto"] | None
"""How many pictures a bank keeps: so many, all, or as many as `quick_size` says."""

QUICK_NUMBERS = 1 << 18
"""Numbers of the feature vectors of a quick bank."""

_LEAST_QUICK = 500
_MOST_CANDIDATES = 10
"""Rows to choose a coreset from, for each that is chosen."""


class Distances(NamedTuple):
    """Squared distances from N frames to the n pictures of a bank; rounding may leave them a little below 0.

    Attributes:
        plain: N×n, between features of length 1.
        local: N×n, the same in units of the spread of the training pictures.
    """

    plain: Floats
    local: Floats


def quick_size(width: int) -> int:
    """Return how many pictures of so many numbers a bank can have to be quick beside a network at work, whose cache it shares."""
    return max(_LEAST_QUICK, QUICK_NUMBERS // width)


@dataclass(frozen=True, eq=False)
class Bank:
    """Pictures along the directions of a `Whitening`; what is left is taken to be at right angles to each other.

    Attributes:
        whitening: of features scaled to length 1.
        kept: n×r.
        rest: n.
        index: n, numbers of the pictures.
        labels: n.
    """

    whitening: Whitening
    kept: Floats
    rest: Floats
    index: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def fit(
        cls,
        whitening: Whitening,
        features: Floats,
        labels: NDArray[np.intp],
        *,
        most: int | None,
        rng: np.random.Generator,
        progress: Progress = unseen,
    ) -> Self:
        """Keep pictures, at most so many, chosen to lie near all others."""
        index = np.arange(len(features))
        if most is not None and len(features) > most * _MOST_CANDIDATES:
            index = np.sort(rng.choice(len(features), most * _MOST_CANDIDATES, replace=False))
        parts = []
        for at in range(0, len(index), 1024):
            progress("coordinates", at, len(index))
            parts.append(whitening(Batch(features[index[at : at + 1024]])))
        kept = np.concatenate([part.kept for part in parts])
        rest = np.concatenate([part.rest for part in parts])
        if most is not None and len(index) > most:
            chosen = coreset(np.column_stack([kept, np.sqrt(rest)]), most, rng, progress)
            kept, rest, index = kept[chosen], rest[chosen], index[chosen]
        return cls(whitening, kept, rest, index.astype(np.int64), labels[index].astype(np.int64))

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def neighbours(self) -> int:
        """How many to look at: it grows like the square root of the bank, 11 of 2,000."""
        return max(1, min(len(self), round(math.sqrt(len(self)) / 4)))

    def __call__(self, batch: Batch) -> Distances:
        """Return the distances of frames."""
        found = batch.of(self.whitening)
        plain, local = self.squares
        own = np.vecdot(found.kept, found.kept) + found.rest
        # |x|² + |b|² − 2 x·b
        near, locally = paired_products(found.kept * np.float32(-2), found.weighed * np.float32(-2), self.kept)
        near += plain
        near += own[:, None]
        locally += local
        locally += found.squares[:, None]
        return Distances(near, locally)

    @cached_property
    def squares(self) -> tuple[Floats, Floats]:
        """Squared lengths of the pictures, plain and in units of the spread."""
        weighed = self.kept * self.whitening.precision
        return (
            np.vecdot(self.kept, self.kept) + self.rest,
            np.vecdot(weighed, self.kept) + self.rest * np.float32(self.whitening.rest_precision),
        )
