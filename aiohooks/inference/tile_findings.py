"""What a model finds in one tile."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Explained(NamedTuple):
    """What explains one tile; None where the model does not give it.

    Attributes:
        vector: (D,).
        maps: (C, h, w), of the type that the model gives.
    """

    vector: NDArray[Any] | None
    maps: NDArray[Any] | None

    @classmethod
    def by(cls, outputs: dict[str, NDArray[Any]]) -> "Explained":
        """Read the outputs ``feature_vector`` and ``saliency_map``."""
        vector, maps = outputs.get("feature_vector"), outputs.get("saliency_map")
        return cls(None if vector is None else vector.reshape(-1), None if maps is None else maps[0])


class Objects(NamedTuple):
    """What was found in one tile.

    Attributes:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the tile.
        scores: (N,).
        classes: (N,), the model's class numbers.
        masks: (N, h, w) as the model gives them; None for a model without.
        explained: the tile as a whole.
    """

    boxes: NDArray[Any]
    scores: NDArray[Any]
    classes: NDArray[Any]
    masks: NDArray[Any] | None
    explained: Explained


class Pixels(NamedTuple):
    """What was seen in one tile.

    Attributes:
        soft: (h, w, C), scores of the background and of each label at the model's resolution.
        explained: the tile as a whole.
    """

    soft: NDArray[np.float32]
    explained: Explained
