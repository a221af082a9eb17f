"""Predictions as the annotations that a Geti server takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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
from aiohooks.clients.geti.answers import Project
from aiohooks.errors import SessionError
from aiohooks.prediction import Prediction, geti_json

MAX_POINTS = 5000
"""Corners that Geti allows a polygon."""


def annotations_of(
    project: Project, found: Prediction | Sequence[Annotation], size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Return what was found in a picture of a project in Geti's form. Blocks for milliseconds.

    Raises:
        SessionError: a label is not one of the project.
    """
    annotations = found.annotations if isinstance(found, Prediction) else found
    try:
        return annotations_for(annotations, size=size, labels=project.labels)
    except LookupError as error:
        raise SessionError(f"this cannot be uploaded to the project {project.name!r}: {error}") from None


def annotations_for(
    annotations: Sequence[Annotation], *, size: tuple[int, int], labels: Sequence[Label]
) -> list[dict[str, Any]]:
    """Return annotations in Geti's form; none if nothing was found and the project has no empty label.

    Args:
        annotations: what was found; those without labels are left out.
        size: height and width of the picture in pixels. Shapes are cut to it, since Geti takes none that reaches out of it; but not
            rotated rectangles, which go as they are.
        labels: those of the project.

    Raises:
        LookupError: a label is not among those of the project, neither by its id nor by its name.
    """
    fitted = [
        Annotation(_within(each.shape, size), tuple(_known(scored, labels) for scored in each.labels))
        for each in annotations
        if each.labels
    ]
    found: list[dict[str, Any]] = geti_json.to_geti(fitted, size=size, labels=labels)["annotations"]
    return found


def _known(scored: ScoredLabel, labels: Sequence[Label]) -> ScoredLabel:
    """Find the project's own label; empty labels are called differently by versions of Geti only in upper and lower case."""
    label = scored.label
    same_id = [known for known in labels if label.id and known.id == label.id]
    same_name = [
        known
        for known in labels
        if known.name == label.name or (known.is_empty and known.name.casefold() == label.name.casefold())
    ]
    for known in same_id + same_name:
        return ScoredLabel(known, scored.probability)
    names = ", ".join(sorted(known.name for known in labels)) or "none"
    raise LookupError(f"it has no label {label.name!r}; its labels are: {names}")


def _within(shape: Shape, size: tuple[int, int]) -> Shape:
    height, width = size
    match shape:
        case Rectangle():
            return Rectangle(*_box_within(shape, size))
        case Ellipse():
            return Ellipse(*_box_within(shape, size))
        case Polygon():
            step = math.ceil(len(shape.points) / MAX_POINTS)
            return Polygon(
                tuple(Point(_between(0, x.x, width), _between(0, x.y, height)) for x in shape.points[:: max(1, step)])
            )
        case Keypoint():
            return Keypoint(_between(0, shape.x, width), _between(0, shape.y, height), shape.is_visible)
        case RotatedRectangle():
            return shape


def _box_within(box: Rectangle | Ellipse, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Cut a box to the picture; it keeps at least one pixel each way."""
    height, width = size
    left, across = _side_within(box.x, box.width, width)
    top, down = _side_within(box.y, box.height, height)
    return left, top, across, down


def _side_within(start: float, length: float, limit: int) -> tuple[float, float]:
    begin = _between(0, start, limit - 1)
    end = _between(begin + 1, start + length, limit)
    if end - begin < 1:  # by the rounding of floats, for which Geti would refuse it
        begin, end = math.floor(begin), math.ceil(end)
    return begin, end - begin


def _between(least: float, value: float, most: float) -> float:
    return max(least, min(value, most))
