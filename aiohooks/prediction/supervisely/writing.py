"""Predictions into the JSON form of Supervisely's served models.

A prediction is ``{"annotation": {"size": …, "tags": […], "objects": […], …}, "data": {}}``; ``data`` has the ``ood_score``, if there is one. A classified picture has tags, each a
label with its score; other objects have a class, a geometry and the tag ``confidence``. Corners of boxes are pixels of the object,
so a box that ends at x2 = 30 has its right corner at 29.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Annotation, Keypoint, Label, Polygon, Rectangle, RotatedRectangle, Shape
from aiohooks.prediction.supervisely.bitmap import to_bitmap
from aiohooks.prediction.task import Task
from aiohooks.shapes import bounds

KEYPOINTS = "keypoints"
"""The class of the graph that holds the keypoints of a picture."""

CONFIDENCE = ("confidence", "conf", "score")
"""Names of the tag with an object's score; the first is written."""


def to_supervisely(
    annotations: Sequence[Annotation],
    *,
    size: tuple[int, int],
    task: Task,
    labels: Sequence[Label],
    masks: NDArray[np.uint8] | None = None,
    label_map: NDArray[np.uint8] | None = None,
    ood_score: float | None = None,
) -> dict[str, Any]:
    """Return a prediction in Supervisely's form, of plain Python values; masks take some milliseconds.

    Args:
        annotations: what was found; of several labels, the one with the highest score is the class, the others become tags.
        size: height and width of the frame in pixels.
        task: what the model does.
        labels: the label table.
        masks: of the objects, as in ``Prediction``.
        label_map: of the frame, as in ``Prediction``; its labels are the objects then.
        ood_score: of the frame, as in ``Prediction``.
    """
    height, width = size
    tags: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    if label_map is not None:
        objects = list(_regions(label_map, annotations, labels))
    elif task is Task.KEYPOINT_DETECTION:
        objects = list(_graphs(annotations))
    else:
        whole = Rectangle(0, 0, width, height) if task in (Task.CLASSIFICATION, Task.ANOMALY) else None
        for index, annotation in enumerate(annotations):
            scored = _scores(annotation)
            if annotation.shape == whole:
                tags += [_tag(*each) for each in scored]
            elif scored:
                mask = None if masks is None else to_bitmap(masks[index])
                shape = _geometry(annotation.shape) if mask is None else {"geometryType": "bitmap", "bitmap": mask}
                objects.append(_object(*scored[0], scored[1:], shape))
    return {
        "annotation": {
            "description": "",
            "size": {"height": height, "width": width},
            "tags": tags,
            "objects": objects,
            "customBigData": {},
        },
        "data": {} if ood_score is None else {"ood_score": ood_score},
    }


def _scores(annotation: Annotation) -> list[tuple[str, float]]:
    """Return the names of an object's labels with their scores, highest score first."""
    scores: dict[str, float] = {}
    for scored in sorted(annotation.labels, key=lambda each: -each.probability):
        scores.setdefault(scored.name, _shortest(scored.probability))
    return list(scores.items())


def _regions(
    label_map: NDArray[np.uint8], annotations: Sequence[Annotation], labels: Sequence[Label]
) -> Iterator[dict[str, Any]]:
    """Yield an object for each label of a label map, with the highest score of its regions."""
    scores: dict[str, float] = {}
    for annotation in annotations:
        for name, score in _scores(annotation):
            scores[name] = max(score, scores.get(name, 0.0))
    for index, label in enumerate(labels):
        mask = to_bitmap((label_map == index + 1).astype(np.uint8))
        if mask is not None:
            yield _object(label.name, scores.get(label.name, 1.0), (), {"geometryType": "bitmap", "bitmap": mask})


def _graphs(annotations: Sequence[Annotation]) -> Iterator[dict[str, Any]]:
    """Yield graphs of named points: one, and another whenever a name occurs again."""
    points: dict[str, tuple[Keypoint, float]] = {}
    for annotation in annotations:
        scored = _scores(annotation)
        if not scored or not isinstance(annotation.shape, Keypoint):
            continue
        name, score = scored[0]
        if name in points:
            yield _graph(points)
            points = {}
        points[name] = annotation.shape, score
    if points:
        yield _graph(points)


def _graph(points: Mapping[str, tuple[Keypoint, float]]) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {}
    for name, (point, _) in points.items():
        nodes[name] = {"loc": [_short(point.x), _short(point.y)]}
        if not point.is_visible:
            nodes[name]["disabled"] = True
    scores = [(name, score) for name, (_, score) in points.items()]
    mean = _shortest(sum(score for _, score in scores) / len(scores))
    return _object(KEYPOINTS, mean, scores, {"geometryType": "graph", "nodes": nodes})


def _object(name: str, score: float, more: Sequence[tuple[str, float]], geometry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "classTitle": name,
        "description": "",
        "tags": [_tag(CONFIDENCE[0], score), *(_tag(*each) for each in more)],
        "shape": geometry["geometryType"],
        **geometry,
    }


def _tag(name: str, score: float) -> dict[str, Any]:
    return {"name": name, "value": score}


def _geometry(shape: Shape) -> dict[str, Any]:
    match shape:
        case Polygon() if len(shape.points) >= 3:
            corners = [[round(point.x), round(point.y)] for point in shape.points]
            return {"geometryType": "polygon", "points": {"exterior": corners, "interior": []}}
        case RotatedRectangle(angle, x, y, width, height):
            left, top = _short(x - width / 2), _short(y - height / 2)
            ends = [[left, top], [max(left, _short(x + width / 2 - 1)), max(top, _short(y + height / 2 - 1))]]
            return {"geometryType": "oriented_bbox", "points": ends, "angle": math.radians(angle)}
        case Keypoint():
            points = [[_short(shape.x), _short(shape.y)]]
            return {"geometryType": "point", "points": {"exterior": points, "interior": []}}
    left, top, right, bottom = bounds(shape)
    corners = [[x, y] for x, y in zip(_pixels(left, right), _pixels(top, bottom), strict=True)]
    return {"geometryType": "rectangle", "points": {"exterior": corners, "interior": []}}


def _pixels(start: float, end: float) -> tuple[int, int]:
    """Return the first and the last pixel between two edges: at least one, and inside the picture where the edges are."""
    first, last = round(start), round(end) - 1
    if last < first:
        first = last = max(math.ceil(end) - 1, 0)
    return first, last


def _shortest(value: float) -> float:
    """Return the shortest decimal that stands for a float32: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value)))


def _short(value: float) -> float | int:
    rounded = round(value, 2)
    return int(rounded) if rounded.is_integer() else rounded
