"""Annotations in the JSON form of Intel Geti, and back.

The form is that of Geti's REST interface: ``{"annotations": [{"labels": […], "shape": {…}}], "kind": "prediction", "maps": []}``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aiohooks.annotation import (
    Annotation,
    Ellipse,
    Keypoint,
    Label,
    Point,
    Polygon,
    Rectangle,
    RotatedRectangle,
    ScoredLabel,
    Shape,
)
from aiohooks.errors import SpecError
from aiohooks.prediction.json_fields import get, list_at, object_at, real_at

_BOX = ("x", "y", "width", "height")


def to_geti(annotations: Sequence[Annotation], *, size: tuple[int, int], labels: Sequence[Label]) -> dict[str, Any]:
    """Return annotations in Geti's form, of plain Python values; numbers are ints where they are whole.

    Args:
        annotations: what was found. If nothing was, the first ``is_empty`` label covers the frame with probability 0.
        size: height and width of the frame in pixels.
        labels: the label table; without an ``is_empty`` label in it an empty result has no annotation.
    """
    if not annotations:
        height, width = size
        annotations = [
            Annotation(Rectangle(0, 0, width, height), (ScoredLabel(label, 0.0),)) for label in labels if label.is_empty
        ][:1]
    return {
        "annotations": [
            {
                "labels": [_label_to_json(scored) for scored in annotation.labels],
                "shape": _shape_to_json(annotation.shape),
            }
            for annotation in annotations
        ],
        "kind": "prediction",
        "maps": [],
    }


def from_geti(data: object) -> tuple[Annotation, ...]:
    """Return the annotations that Geti's form holds; see also ``says_nothing``.

    Unknown keys are ignored, as are ``maps``. A label may lack its id, colour and probability (then 1). Probabilities are
    limited to 0–1: geti-sdk writes larger ones for anomaly segmentation.

    Args:
        data: the decoded JSON.

    Raises:
        SpecError: ``data`` is not in this form; the message starts with the path to the spot.
    """
    found = list_at(get(object_at(data, ""), "annotations", ""), "annotations")
    return tuple(_annotation(item, f"annotations[{i}]") for i, item in enumerate(found))


def says_nothing(annotations: Sequence[Annotation], labels: Sequence[Label]) -> bool:
    """Tell whether these are Geti's form of an empty result: a lone rectangle with an ``is_empty`` label of probability 0.

    Args:
        annotations: as read by ``from_geti``.
        labels: the label table. A label that is not in it counts as empty if its rectangle starts at the origin.
    """
    if len(annotations) != 1:
        return False
    shape, scored = annotations[0].shape, annotations[0].labels
    if not isinstance(shape, Rectangle) or [one.probability for one in scored] != [0.0]:
        return False
    label = scored[0].label
    known = [other for other in labels if (label.id and other.id == label.id) or other.name == label.name]
    return label.is_empty or (any(other.is_empty for other in known) if known else (shape.x, shape.y) == (0, 0))


def _label_to_json(scored: ScoredLabel) -> dict[str, Any]:
    label = scored.label
    data = {"probability": float(scored.probability), "name": label.name, "color": label.color}
    return {**data, "id": label.id} if label.id else data


def _shape_to_json(shape: Shape) -> dict[str, Any]:
    match shape:
        case Rectangle() | Ellipse():
            kind = "RECTANGLE" if isinstance(shape, Rectangle) else "ELLIPSE"
            return {**{key: _number(getattr(shape, key)) for key in _BOX}, "type": kind}
        case RotatedRectangle():
            box = {key: _number(getattr(shape, key)) for key in _BOX}
            return {"angle": _shortest(shape.angle), **box, "type": "ROTATED_RECTANGLE"}
        case Polygon():
            points = [{"x": _number(point.x), "y": _number(point.y)} for point in shape.points]
            return {"points": points, "type": "POLYGON"}
        case Keypoint():
            x, y = _number(shape.x), _number(shape.y)
            return {"x": x, "y": y, "is_visible": bool(shape.is_visible), "type": "KEYPOINT"}


def _number(value: float) -> float | int:
    value = float(value)
    return int(value) if value.is_integer() else value


def _shortest(value: float) -> float | int:
    """Return a float32 as the shortest decimal that stands for it: 33.2045, not 33.204498291015625."""
    narrow = np.float32(value)
    return _number(float(str(narrow)) if float(narrow) == value else value)


def _annotation(data: object, path: str) -> Annotation:
    item = object_at(data, path)
    labels = list_at(item.get("labels") or [], f"{path}.labels")
    return Annotation(
        _shape(get(item, "shape", path), f"{path}.shape"),
        tuple(_label(label, f"{path}.labels[{i}]") for i, label in enumerate(labels)),
    )


def _label(data: object, path: str) -> ScoredLabel:
    item = object_at(data, path)
    name = get(item, "name", path)
    if not isinstance(name, str):
        raise SpecError(f"{path}.name: expected a string, got {name!r}")
    color, id_ = item.get("color"), item.get("id")
    label = Label(
        name=name,
        id=id_ if isinstance(id_, str) else "",
        is_empty=item.get("is_empty") is True,
        is_anomalous=item.get("is_anomalous") is True,
        **({"color": color} if isinstance(color, str) and color else {}),
    )
    probability = 1.0 if item.get("probability") is None else real_at(item, "probability", path)
    return ScoredLabel(label, min(max(probability, 0.0), 1.0))


def _shape(data: object, path: str) -> Shape:
    item = object_at(data, path)
    kind = get(item, "type", path)
    match kind:
        case "RECTANGLE":
            return Rectangle(*(real_at(item, key, path) for key in _BOX))
        case "ELLIPSE":
            return Ellipse(*(real_at(item, key, path) for key in _BOX))
        case "ROTATED_RECTANGLE":
            return RotatedRectangle(*(real_at(item, key, path) for key in ("angle", *_BOX)))
        case "POLYGON":
            points = list_at(get(item, "points", path), f"{path}.points")
            if not points:
                raise SpecError(f"{path}.points: expected at least one point, got none")
            places = [f"{path}.points[{i}]" for i in range(len(points))]
            corners = [(object_at(point, place), place) for point, place in zip(points, places, strict=True)]
            return Polygon(
                tuple(Point(real_at(corner, "x", place), real_at(corner, "y", place)) for corner, place in corners)
            )
        case "KEYPOINT":
            return Keypoint(
                real_at(item, "x", path), real_at(item, "y", path), is_visible=item.get("is_visible") is not False
            )
    known = "RECTANGLE, ELLIPSE, ROTATED_RECTANGLE, POLYGON, KEYPOINT"
    raise SpecError(f"{path}.type: {kind!r} is not a shape; there are: {known}")
