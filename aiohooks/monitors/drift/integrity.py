"""Checks of what events hold: what is missing, not a number, too wide, of another type or out of range has a code, nothing raises.

Every function takes a column, one value for each event, in whatever form it came, and returns the values as an array with a
`Problem` code for each: 0 where the value is good. A value with a problem is NaN.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.problem import Problem, code

Column = Sequence[Any] | NDArray[Any]
Codes = NDArray[np.uint8]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
"""An event before this has a wrong time: a clock that was never set, or seconds that are meant for something else."""

AHEAD_SECONDS = 86400.0
"""How far in the future an event may be: the clocks of other machines."""

_MISSING = code(Problem.MISSING)
_WRONG_TYPE = code(Problem.WRONG_TYPE)
_WRONG_WIDTH = code(Problem.WRONG_WIDTH)
_NOT_FINITE = code(Problem.NOT_FINITE)
_OUT_OF_RANGE = code(Problem.OUT_OF_RANGE)

# A time in seconds has 10 digits from 2001 to 2286; each finer unit has three more.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def vectors(column: Column, width: int) -> tuple[NDArray[np.float32], Codes]:
    """Return vectors, float32 (N, width). A vector may be an array, a sequence of numbers, or such a sequence as JSON."""
    whole = _rectangle(column)
    if whole is None:
        return _vectors_one_by_one(column, width)
    if whole.shape[1] != width:
        return _nothing(len(whole), width), np.full(len(whole), _WRONG_WIDTH, np.uint8)
    values = _as_float32(whole)
    # One sum tells of most columns that they are finite, at a fraction of the price.
    if np.isfinite(values.sum(dtype=np.float64)):
        return values, np.zeros(len(values), np.uint8)
    bad = ~np.all(np.isfinite(values), axis=1)
    if bad.any():
        values = np.where(bad[:, None], np.float32(np.nan), values)
    return values, np.where(bad, _NOT_FINITE, 0).astype(np.uint8)


def probabilities(column: Column, classes: int) -> tuple[NDArray[np.float32], Codes]:
    """Return the scores of all classes, float32 (N, classes), each in 0–1 within 10⁻³."""
    values, codes = vectors(column, classes)
    with np.errstate(invalid="ignore"):
        outside = np.any((values < -1e-3) | (values > 1 + 1e-3), axis=1)
    if outside.any():
        codes = np.where(outside, np.uint8(_OUT_OF_RANGE), codes)
        values = np.where(outside[:, None], np.float32(np.nan), values)
    return values, codes


def numbers(column: Column, low: float = -math.inf, high: float = math.inf) -> tuple[NDArray[np.float64], Codes]:
    """Return numbers, float64 (N,), from ``low`` to ``high``. NaN stands for a missing one, as data frames have it."""
    array = _numbers_of(column)
    if array is None:
        return _numbers_one_by_one(column, low, high)
    values = array.astype(np.float64)
    codes = np.zeros(len(values), np.uint8)
    codes[~((values >= low) & (values <= high))] = _OUT_OF_RANGE
    codes[np.isinf(values)] = _NOT_FINITE
    codes[np.isnan(values)] = _MISSING
    values[codes != 0] = np.nan
    return values, codes


def times(column: Column, now: float) -> tuple[NDArray[np.float64], Codes]:
    """Return times in seconds since the epoch, UTC, float64 (N,).

    A time may be a number of seconds, milli-, micro- or nanoseconds since the epoch, which its size tells apart; an aware
    datetime; a text in the form of RFC 3339 with its zone; or numpy's datetime64, which is taken to be UTC.

    Args:
        column: the times.
        now: in seconds since the epoch; later ones than a day after it are out of range.
    """
    array = column if isinstance(column, np.ndarray) else None
    if array is not None and array.dtype.kind == "M":
        # Microseconds, because nanoseconds as numpy has them end in 2262.
        seconds = array.astype("datetime64[us]").astype(np.int64) / 1e6
        values, codes = numbers(np.where(np.isnat(array), np.nan, seconds))
    else:
        numeric = _numbers_of(column)
        plain: Column = numeric if numeric is not None else [_seconds(value) for value in column]
        values, codes = numbers(plain)
    for smallest, factor in _UNITS:
        values = np.where(np.abs(values) >= smallest, values / factor, values)
    with np.errstate(invalid="ignore"):
        outside = (values < EARLIEST) | (values > now + AHEAD_SECONDS)
    codes[outside] = _OUT_OF_RANGE
    values[outside] = np.nan
    return values, codes


def texts(column: Column) -> tuple[list[str | None], Codes]:
    """Return texts; numbers become texts, so that labels and ids may be numbers. None where there is a problem."""
    values: list[str | None] = []
    codes = np.zeros(len(column), np.uint8)
    for i, value in enumerate(column.tolist() if isinstance(column, np.ndarray) else column):
        if isinstance(value, str) and is_writable(value):
            values.append(str(value))
        elif is_missing(value):
            codes[i] = _MISSING
            values.append(None)
        elif isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
            values.append(f"{value:.17g}" if isinstance(value, float | np.floating) else str(value))
        else:
            codes[i] = _WRONG_TYPE
            values.append(None)
    return values, codes


def is_writable(text: str) -> bool:
    """Tell whether a text has a form as UTF-8; one with half of a surrogate pair, as broken JSON may hold, has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_missing(value: object) -> bool:
    """Tell whether a value stands for none."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _rectangle(column: Column) -> NDArray[Any] | None:
    """Return the column as one array of numbers (N, any), if it is that."""
    if isinstance(column, np.ndarray) and column.ndim == 2:
        array = column
    else:
        if len(column) == 0 or isinstance(column[0], str):
            return None
        try:
            array = np.asarray(column if isinstance(column, list) else list(column))
        except (ValueError, TypeError):
            return None
    return array if array.ndim == 2 and array.dtype.kind in "fiu" else None


def _vectors_one_by_one(column: Column, width: int) -> tuple[NDArray[np.float32], Codes]:
    values = _nothing(len(column), width)
    codes = np.zeros(len(column), np.uint8)
    for i, value in enumerate(column):
        if is_missing(value):
            codes[i] = _MISSING
            continue
        vector = _vector(value)
        if vector is None:
            codes[i] = _WRONG_TYPE
        elif len(vector) != width:
            codes[i] = _WRONG_WIDTH
        elif not np.isfinite(vector).all():
            codes[i] = _NOT_FINITE
        else:
            values[i] = vector
    return values, codes


def _vector(value: object) -> NDArray[np.float32] | None:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value, type=list[float])
        except msgspec.DecodeError:
            return None
    if isinstance(value, bytes) or not hasattr(value, "__len__"):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return None
    if array.size == 0:
        return np.empty(0, np.float32)
    return _as_float32(array) if array.ndim == 1 and array.dtype.kind in "fiu" else None


def _numbers_one_by_one(column: Column, low: float, high: float) -> tuple[NDArray[np.float64], Codes]:
    values = np.full(len(column), np.nan)
    codes = np.zeros(len(column), np.uint8)
    for i, value in enumerate(column):
        if is_missing(value):
            codes[i] = _MISSING
            continue
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
            codes[i] = _WRONG_TYPE
            continue
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            codes[i] = _NOT_FINITE
        elif low <= number <= high:
            values[i] = number
        else:
            codes[i] = _OUT_OF_RANGE
    return values, codes


def _numbers_of(column: Column) -> NDArray[Any] | None:
    try:
        array = column if isinstance(column, np.ndarray) else np.asarray(column)
    except (ValueError, TypeError, OverflowError):
        return None
    return array if array.ndim == 1 and array.dtype.kind in "fiu" else None


def _seconds(value: object) -> object:
    """Return a time as a number, if it is a datetime or a text with a zone; other ones stay or become texts, which are no numbers."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, np.datetime64):
        return math.nan if np.isnat(value) else float(value.astype("datetime64[us]").astype(np.int64)) / 1e6
    if isinstance(value, datetime):
        if value.tzinfo is None:
            # Data frames' NaT is a datetime, too, which differs from itself. Nothing says which zone a naive one is in.
            return str(value) if value == value else None
        return value.timestamp()
    return value


def _as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def _nothing(count: int, width: int) -> NDArray[np.float32]:
    return np.full((count, width), np.nan, np.float32)
