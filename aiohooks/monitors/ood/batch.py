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

SMALLEST_NORM = 1e-30
_BLOCK = 25
"""Rows at once for two vectors: with 4,096 numbers each, that is below the 2¹⁸ multiplications from which OpenBLAS shares the work."""


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
    def norms(self) -> Doubles:
        """N×1, lengths of the features; their squares need not be in the range of float32."""
        norms: Doubles = np.sqrt(np.vecdot(self.features, self.features, dtype=np.float64))
        return norms[:, None]

    @cached_property
    def unit(self) -> Floats:
        """N×D, the features scaled to length 1."""
        lengths: Floats = np.maximum(self.norms, SMALLEST_NORM).astype(np.float32)
        unit: Floats = np.divide(self.features, lengths)
        return unit

    @cached_property
    def unit_roots(self) -> Floats:
        """N×D, the square roots of the features without their sign, scaled to length 1."""
        sums = np.abs(self.features).sum(axis=1, dtype=np.float64)
        lengths: Floats = np.sqrt(np.maximum(sums, SMALLEST_NORM)).astype(np.float32)
        unit: Floats = np.divide(roots(self.features), lengths[:, None])
        return unit

    @cached_property
    def energy(self) -> Doubles:
        """N, −logsumexp of the logits."""
        return -log_sum_exp(self.logits)

    @cached_property
    def log_probabilities(self) -> Doubles:
        """N×C."""
        return self.logits + self.energy[:, None]


def roots(features: Floats) -> Floats:
    """Return the square roots of numbers without their sign."""
    found: Floats = np.sqrt(np.abs(features))
    return found


def log_sum_exp(logits: Doubles) -> Doubles:
    """Return log Σ exp of each row of N×C, without overflow."""
    largest: Doubles = logits.max(axis=1)
    total: Doubles = np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return total + largest


def products(rows: Floats, others: Floats) -> Floats:
    """Return the N×n scalar products of N rows with n others.

    One at a time: a frame has the same bits alone and among others, and no thread waits for another, as those of a
    product of matrices do for milliseconds where inference keeps all cores busy.
    """
    found: Floats = np.vecdot(rows[:, None], others)
    return found


def paired_products(one: Floats, other: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Return `products` of two forms of N rows with n others, which are read once: by then they are no longer in the processor's cache.

    Taken in blocks that BLAS does not share among threads.
    """
    pairs = np.stack([one, other], axis=2)
    count = len(others) // _BLOCK
    whole = count * _BLOCK
    found = np.empty((len(one), len(others), 2), np.float32)
    blocks = others[:whole].reshape(count, _BLOCK, others.shape[1])
    found[:, :whole] = np.matmul(blocks, pairs[:, None]).reshape(len(one), whole, 2)
    found[:, whole:] = np.matmul(others[whole:], pairs)
    first, second = np.moveaxis(found, 2, 0).copy()
    return first, second


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
