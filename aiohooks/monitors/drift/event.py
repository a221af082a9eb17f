"""What the drift monitor knows of inferences: one event for each, and many of them as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

NUMBERS = ("brightness", "sharpness", "width", "height", "ood_score")
"""The fields of an event that are one number each."""


class DriftEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One inference. Its values are checked when it is published: what is wrong is counted, and raises nothing.

    Attributes:
        features: the model's embedding of the frame, as many numbers as the baseline has.
        timestamp: when, as `aiohooks.monitors.drift.integrity.times` reads it; None is now.
        probabilities: scores of all classes, in 0–1.
        brightness: mean of the picture in 0–1.
        sharpness: as `aiohooks.monitors.drift.image_statistics.sharpness` measures it, at least 0.
        width: of the picture in pixels.
        height: of the picture in pixels.
        ood_score: 0–1, near 1 is out of distribution.
        segment: what the event is told apart by, such as a camera or a line; empty: nothing.
        model_version: of the model that inferred; None is that of the monitor.
        id: by which an event that comes again is known; None: it never does.
        target: the true label, where it is known.
        image: address of the picture, or the picture as a file of at most 64 KiB, to show as an example.
    """

    features: Sequence[float] | NDArray[Any]
    timestamp: datetime | float | str | None = None
    probabilities: Sequence[float] | NDArray[Any] | None = None
    brightness: float | None = None
    sharpness: float | None = None
    width: float | None = None
    height: float | None = None
    ood_score: float | None = None
    segment: str = ""
    model_version: str | None = None
    id: str | int | None = None
    target: str | int | None = None
    image: str | bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """N good events as columns. NaN and None stand for what is not known; a column of which nothing is known is None.

    Attributes:
        times: float64 (N,), seconds since the epoch, UTC.
        features: float32 (N, D).
        probabilities: float32 (N, C), in 0–1.
        numbers: float64 (N,) by name, of those in `NUMBERS` of which something is known.
        segments: N names; empty where there is none.
        model_versions: N names; None stands for the monitor's own.
        ids: N ids.
        targets: N names of true labels.
        images: N addresses or picture files.
    """

    times: NDArray[np.float64]
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None = None
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    segments: Sequence[str] | None = None
    model_versions: Sequence[str | None] | None = None
    ids: Sequence[str | None] | None = None
    targets: Sequence[str | None] | None = None
    images: Sequence[str | bytes | None] | None = None

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the events of these positions, in that order."""
        return type(self)(*(_taken(getattr(self, column.name), rows) for column in fields(self)))


def _taken(column: Any, rows: NDArray[np.intp]) -> Any:
    if column is None:
        return None
    if isinstance(column, Mapping):
        return {name: values[rows] for name, values in column.items()}
    return column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows.tolist()]
