"""What a model gives beside its result: feature vector and saliency maps."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_LOWEST = np.zeros((), np.float32)
_HIGHEST = np.full((), 255, np.float32)


class Explanation(NamedTuple):
    """The two fields of a `Prediction` that explain it.

    Attributes:
        feature_vector: float32 (D,), or None.
        saliency_maps: uint8 (C, h, w), or None.
    """

    feature_vector: NDArray[np.float32] | None
    saliency_maps: NDArray[np.uint8] | None

    @classmethod
    def of(cls, outputs: Mapping[str, NDArray[Any]]) -> "Explanation":
        """Read the outputs ``feature_vector`` and ``saliency_map``; the arrays become read-only."""
        vector, maps = outputs.get("feature_vector"), outputs.get("saliency_map")
        if vector is not None:
            vector = vector.reshape(-1).astype(np.float32, copy=False)
            vector.setflags(write=False)
        if maps is not None:
            maps = as_bytes(maps[0])
            maps.setflags(write=False)
        return cls(vector, maps)


def as_bytes(maps: NDArray[Any]) -> NDArray[np.uint8]:
    """Return maps in 0–255 as uint8, rounded."""
    if maps.dtype == np.uint8:
        return maps
    rounded = np.rint(maps)
    np.maximum(rounded, _LOWEST, out=rounded)
    np.minimum(rounded, _HIGHEST, out=rounded)
    return np.asarray(rounded, np.uint8)
