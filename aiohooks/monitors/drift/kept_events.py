"""Events that are kept one by one, in half precision: of some of them a new baseline can be made."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.event import EventBatch
from aiohooks.monitors.drift.window import WindowKey

_LARGEST = float(np.finfo(np.float16).max)


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    """Arrays as bytes, their lowest byte first: times as 8-byte, numbers as 4-byte, the rest as 2-byte floats."""

    times: bytes
    features: bytes
    probabilities: bytes | None
    numbers: dict[str, bytes]


class KeptEvents(NamedTuple):
    """Some events of a window.

    Attributes:
        key: which window.
        times: float64 (N,), in seconds since the epoch.
        features: float16 (N, D).
        probabilities: float16 (N, C), or None.
        numbers: float32 (N,) by name, such as brightness.
    """

    key: WindowKey
    times: NDArray[np.float64]
    features: NDArray[np.float16]
    probabilities: NDArray[np.float16] | None
    numbers: dict[str, NDArray[np.float32]]

    @classmethod
    def of(cls, key: WindowKey, batch: EventBatch, rows: NDArray[np.intp]) -> Self:
        """Take these of the events."""
        return cls(
            key,
            batch.times[rows],
            np.clip(batch.features[rows], -_LARGEST, _LARGEST).astype(np.float16),
            None if batch.probabilities is None else batch.probabilities[rows].astype(np.float16),
            {name: values[rows].astype(np.float32) for name, values in batch.numbers.items()},
        )

    @property
    def nbytes(self) -> int:
        """Of the larger arrays."""
        return self.features.nbytes + (0 if self.probabilities is None else self.probabilities.nbytes)

    def encode(self) -> bytes:
        """Return all but the key as bytes."""
        columns = _Columns(
            self.times.astype("<f8").tobytes(),
            self.features.astype("<f2").tobytes(),
            None if self.probabilities is None else self.probabilities.astype("<f2").tobytes(),
            {name: values.astype("<f4").tobytes() for name, values in self.numbers.items()},
        )
        return msgspec.msgpack.encode(columns)

    @classmethod
    def decode(cls, key: WindowKey, data: bytes) -> Self:
        """Read what `encode` wrote."""
        columns = msgspec.msgpack.decode(data, type=_Columns)
        times = np.frombuffer(columns.times, "<f8")
        probabilities = columns.probabilities
        return cls(
            key,
            times,
            np.frombuffer(columns.features, "<f2").reshape(len(times), -1),
            None if probabilities is None else np.frombuffer(probabilities, "<f2").reshape(len(times), -1),
            {name: np.frombuffer(values, "<f4") for name, values in columns.numbers.items()},
        )


def side_by_side(
    kept: Sequence[KeptEvents],
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, dict[str, NDArray[np.float64]]]:
    """Return features, probabilities and numbers of all; rows of NaN where only some have them.

    Args:
        kept: at least one.
    """
    features = np.concatenate([one.features for one in kept]).astype(np.float64)
    classes = next((one.probabilities.shape[1] for one in kept if one.probabilities is not None), 0)
    rows = [
        np.full((len(one.times), classes), np.nan) if one.probabilities is None else one.probabilities for one in kept
    ]
    names = {name for one in kept for name in one.numbers}
    numbers = {
        name: np.concatenate([one.numbers.get(name, np.full(len(one.times), np.nan)) for one in kept]).astype(
            np.float64
        )
        for name in sorted(names)
    }
    return features, np.concatenate(rows).astype(np.float64) if classes else None, numbers
