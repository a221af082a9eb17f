"""What a chain of models does between two of them: cut out what one found, and merge what the next says about it.

The order is that of geti-sdk: a task that labels whole pictures adds its labels to the object that was cut out, after those
that it has; a task that finds things adds them after all other objects, crop by crop.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction
from aiohooks.prediction.assemble import changed, read_only
from aiohooks.shapes import bounds


class Crop(NamedTuple):
    """A part of a frame, of at least one pixel, and the object that it was cut out for.

    Attributes:
        owner: position of the object in the prediction.
        x1: left edge in pixels; the others likewise.
        y1: top edge.
        x2: right edge, exclusive.
        y2: bottom edge, exclusive.
    """

    owner: int
    x1: int
    y1: int
    x2: int
    y2: int

    def of(self, frame: Frame) -> Frame:
        """Return this part of a frame; its pixels are a view."""
        return Frame(frame.image[self.y1 : self.y2, self.x1 : self.x2], frame.name, frame.index, frame.timestamp)


def crops(prediction: Prediction, start: int = 0) -> list[Crop]:
    """Return what to cut out for each object from this one on: the upright box around its shape, in whole pixels.

    It is cut off at the edges of the frame, and never smaller than a pixel.
    """
    found: NDArray[np.floating[Any]] = prediction.boxes[start:]
    if prediction.polygons is not None or prediction.rotated_boxes is not None or prediction.keypoints is not None:
        found = np.array([bounds(annotation.shape) for annotation in prediction.annotations[start:]]).reshape(-1, 4)
    height, width = prediction.size
    corners = np.rint(np.clip(found, 0, (width, height, width, height))).astype(np.int64)
    low = np.minimum(corners[:, :2], (width - 1, height - 1))
    high = np.maximum(corners[:, 2:], low + 1)
    return [Crop(start + i, *row) for i, row in enumerate(np.hstack([low, high]).tolist())]


def with_tables(prediction: Prediction, tables: Iterable[Sequence[Label]]) -> Prediction:
    """Return the prediction with the label tables of the later models after its own."""
    return changed(prediction, labels=tuple(chain(prediction.labels, *tables)))


def with_labels(
    prediction: Prediction, cut: Sequence[Crop], said: Sequence[Prediction], table: Sequence[Label], offset: int
) -> Prediction:
    """Return the prediction with the labels that were given to crops, after those of the objects they belong to.

    Args:
        prediction: of the models before.
        cut: the crops.
        said: what the model says about each.
        table: the model's label table.
        offset: where that begins in the table of ``prediction``.
    """
    labels, indices = _positions(prediction.labels, said, table, offset)
    owners = np.repeat(np.array([crop.owner for crop in cut], np.int32), [len(one.scores) for one in said])
    objects = np.concatenate([prediction.object_indices, owners])
    order = np.argsort(objects, kind="stable")
    return changed(
        prediction,
        labels=labels,
        scores=np.concatenate([prediction.scores, *(one.scores for one in said)])[order],
        label_indices=np.concatenate([prediction.label_indices, *indices])[order],
        object_indices=objects[order],
    )


def with_objects(
    prediction: Prediction, cut: Sequence[Crop], said: Sequence[Prediction], table: Sequence[Label], offset: int
) -> Prediction:
    """Return the prediction with what was found in crops, in pixels of the frame; for the arguments see `with_labels`.

    Masks are left out, since the objects of the other models have none; polygons say the same.
    """
    labels, indices = _positions(prediction.labels, said, table, offset)
    before = np.cumsum([len(prediction), *(len(one) for one in said)])[:-1].tolist()
    corners = [(crop.x1, crop.y1) for crop in cut]
    return changed(
        prediction,
        labels=labels,
        scores=np.concatenate([prediction.scores, *(one.scores for one in said)]),
        label_indices=np.concatenate([prediction.label_indices, *indices]),
        object_indices=np.concatenate(
            [prediction.object_indices, *(one.object_indices + n for one, n in zip(said, before, strict=True))]
        ).astype(np.int32, copy=False),
        boxes=np.concatenate(
            [prediction.boxes, *(_moved(one.boxes, corner) for one, corner in zip(said, corners, strict=True))]
        ),
        masks=None,
        polygons=_polygons(prediction, said, corners),
        rotated_boxes=_rows("rotated_boxes", 5, prediction, said, corners),
        keypoints=_rows("keypoints", 3, prediction, said, corners),
    )


def _positions(
    labels: tuple[Label, ...], said: Sequence[Prediction], table: Sequence[Label], offset: int
) -> tuple[tuple[Label, ...], list[NDArray[np.int32]]]:
    """Return where the labels of each prediction are in the common table, which grows by those it does not have."""
    indices = []
    for one in said:
        if one.labels is table or one.labels == table:
            indices.append(one.label_indices + np.int32(offset))
            continue
        # A model that meets a class without a name gives it one.
        for label in one.labels:
            if label not in labels[offset:]:
                labels = (*labels, label)
        known = {label: i for i, label in reversed(list(enumerate(labels))) if i >= offset}
        indices.append(np.array([known[one.labels[i]] for i in one.label_indices.tolist()], np.int32))
    return labels, indices


def _moved(rows: NDArray[np.float32], corner: tuple[int, int]) -> NDArray[np.float32]:
    """Return rows of x, y pairs (one or two at their start) moved by the corner of a crop."""
    moved = rows.copy()
    moved[:, :2] += corner
    if rows.shape[1] == 4:
        moved[:, 2:] += corner
    return moved


def _polygons(
    prediction: Prediction, said: Sequence[Prediction], corners: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float32] | None, ...] | None:
    if prediction.polygons is None and all(one.polygons is None for one in said):
        return None
    polygons = list(prediction.polygons or (None,) * len(prediction))
    for one, corner in zip(said, corners, strict=True):
        own = one.polygons or (None,) * len(one)
        polygons += [None if line is None else read_only(_moved(line, corner)) for line in own]
    return tuple(polygons)


def _rows(
    field: str, width: int, prediction: Prediction, said: Sequence[Prediction], corners: Sequence[tuple[int, int]]
) -> NDArray[np.float32] | None:
    """Return the rows of an array whose rows may be NaN, for all objects; None if no object has one."""
    own: list[NDArray[np.float32] | None] = [getattr(one, field) for one in (prediction, *said)]
    if all(rows is None for rows in own):
        return None
    parts = []
    for one, rows, corner in zip((prediction, *said), own, ((0, 0), *corners), strict=True):
        parts.append(np.full((len(one), width), np.nan, np.float32) if rows is None else _moved(rows, corner))
    return np.concatenate(parts)
