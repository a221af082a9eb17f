"""Features and logits of a few frames, with what several measures make of them."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
T = TypeVar("T")

_SMALLEST_NORM = np.float32(1e-12)


class Batch:
    """N frames; what is computed of them is computed once.

    Attributes:
        features: N×D.
        rows: the logits, N×C, or None.
    """

    def __init__(self, features: Floats, logits: Doubles | None = None) -> None:
        self.features = features
        self.rows = logits
        self._made: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.features)

    def of(self, part: Callable[["Batch"], T]) -> T:
        """Return what a part of the model makes of the frames; it is asked once."""
        try:
            made: T = self._made[part]
        except KeyError:
            made = self._made[part] = part(self)
        return made

    def slice(self, start: int, stop: int) -> "Batch":
        """Return some of the frames."""
        return Batch(self.features[start:stop], None if self.rows is None else self.rows[start:stop])

    def take(self, index: NDArray[np.intp]) -> "Batch":
        """Return the frames of these numbers."""
        return Batch(self.features[index], None if self.rows is None else self.rows[index])

    @property
    def logits(self) -> Doubles:
        """N×C."""
        assert self.rows is not None, "the model checks that there are logits"
        return self.rows

    @cached_property
    def norms(self) -> Floats:
        """N×1, lengths of the features."""
        squares: Floats = np.einsum("nd,nd->n", self.features, self.features)
        return np.sqrt(squares)[:, None]

    @cached_property
    def unit(self) -> Floats:
        """N×D, the features scaled to length 1."""
        return self.features / np.maximum(self.norms, _SMALLEST_NORM)

    @cached_property
    def energy(self) -> Doubles:
        """N, −logsumexp of the logits."""
        return -log_sum_exp(self.logits)

    @cached_property
    def log_probabilities(self) -> Doubles:
        """N×C."""
        return self.logits + self.energy[:, None]


def log_sum_exp(logits: Doubles) -> Doubles:
    """Return log Σ exp of each row of N×C, without overflow."""
    largest = logits.max(axis=1)
    total: Doubles = np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return total + largest


def rows_of(
    what: str, values: Any, dtype: type[Any], width: int | None = None, count: int | None = None
) -> NDArray[Any]:
    """Return numbers as rows.

    Args:
        what: they are, for the message.
        values: N×width.
        dtype: to turn them into.
        width: how many numbers a row has, None if any will do.
        count: N, None if any will do.

    Raises:
        SpecError: they are not.
    """
    try:
        rows = np.ascontiguousarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{what}: numbers are needed: {error}") from None
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise SpecError(f"{what}: rows of numbers are needed (N×D), got an array of shape {rows.shape}")
    if width is not None and rows.shape[1] != width:
        raise SpecError(f"{what}: {width} numbers a row are needed, got {rows.shape[1]}")
    if count is not None and len(rows) != count:
        raise SpecError(f"{what}: {count} rows are needed, one for each row of the features, got {len(rows)}")
    if not np.isfinite(rows).all():
        raise SpecError(f"{what}: row {int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])} holds NaN or infinity")
    return rows
