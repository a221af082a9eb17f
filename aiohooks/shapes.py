"""Shapes as rows of arrays, and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Ellipse, Keypoint, Point, Polygon, Rectangle, RotatedRectangle, Shape

_ELLIPSE_POINTS = 64
# Positions far outside the picture would overflow OpenCV's fixed-point coordinates.
_FAR = 1e5


class ShapeRows(NamedTuple):
    """N shapes as arrays, one row each; the fields are those of ``Prediction``."""

    boxes: NDArray[np.float32]
    polygons: tuple[NDArray[np.float32] | None, ...] | None
    rotated_boxes: NDArray[np.float32] | None
    keypoints: NDArray[np.float32] | None


def from_rows(rows: ShapeRows) -> tuple[Shape, ...]:
    """Return the shape of each row: its rotated box, else its polygon, else its keypoint, else its box."""
    boxes = rows.boxes.tolist()
    polygons = rows.polygons or (None,) * len(boxes)
    # NaN marks a row without a rotated box or keypoint.
    rotated = rows.rotated_boxes.tolist() if rows.rotated_boxes is not None else ((np.nan,) * 5,) * len(boxes)
    keypoints = rows.keypoints.tolist() if rows.keypoints is not None else ((np.nan,) * 3,) * len(boxes)
    shapes: list[Shape] = []
    for (x1, y1, x2, y2), polygon, (cx, cy, width, height, angle), (x, y, score) in zip(
        boxes, polygons, rotated, keypoints, strict=True
    ):
        if cx == cx:
            shapes.append(RotatedRectangle(angle=angle, x=cx, y=cy, width=width, height=height))
        elif polygon is not None:
            shapes.append(Polygon(tuple(Point(px, py) for px, py in polygon.tolist())))
        elif x == x:
            shapes.append(Keypoint(x, y, is_visible=score > 0))
        else:
            shapes.append(Rectangle(x1, y1, x2 - x1, y2 - y1))
    return tuple(shapes)


def to_rows(shapes: Sequence[Shape], scores: Sequence[float]) -> ShapeRows:
    """Return shapes as arrays.

    Args:
        shapes: an ellipse becomes a polygon.
        scores: of each shape, in 0–1; kept for visible keypoints, 0 stands for an invisible one.
    """
    count = len(shapes)
    boxes = np.array([bounds(shape) for shape in shapes], np.float32).reshape(count, 4)
    rotated = np.full((count, 5), np.nan, np.float32)
    keypoints = np.full((count, 3), np.nan, np.float32)
    polygons: list[NDArray[np.float32] | None] = [None] * count
    for i, (shape, score) in enumerate(zip(shapes, scores, strict=True)):
        match shape:
            case RotatedRectangle():
                rotated[i] = shape.x, shape.y, shape.width, shape.height, shape.angle
            case Keypoint():
                keypoints[i] = shape.x, shape.y, (score or 1.0) if shape.is_visible else 0.0
            case Polygon() | Ellipse():
                polygons[i] = outline(shape).astype(np.float32)
            case Rectangle():
                pass
    return ShapeRows(
        boxes,
        tuple(polygons) if any(polygon is not None for polygon in polygons) else None,
        rotated if np.isfinite(rotated[:, 0]).any() else None,
        keypoints if np.isfinite(keypoints[:, 0]).any() else None,
    )


def bounds(shape: Shape) -> tuple[float, float, float, float]:
    """Return the upright box around a shape as x1, y1, x2, y2 in pixels."""
    match shape:
        case Rectangle() | Ellipse():
            return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
        case Keypoint():
            return shape.x, shape.y, shape.x, shape.y
        case Polygon() | RotatedRectangle():
            points = outline(shape)
            return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def outline(shape: Shape) -> NDArray[np.float64]:
    """Return the corners of a shape in order, as x, y in pixels, of shape (K, 2); an ellipse has 64, a keypoint one."""
    match shape:
        case Rectangle():
            x1, y1, x2, y2 = bounds(shape)
            return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)
        case RotatedRectangle():
            angle = np.deg2rad(shape.angle)
            across = np.array([np.cos(angle), np.sin(angle)]) * (shape.width / 2)
            down = np.array([-np.sin(angle), np.cos(angle)]) * (shape.height / 2)
            return np.array([shape.x, shape.y]) + np.array(
                [-across - down, across - down, across + down, down - across], np.float64
            )
        case Ellipse():
            angles = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)
            radii = np.array([shape.width, shape.height]) / 2
            unit: NDArray[np.float64] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            return np.array([shape.x, shape.y]) + radii * (1 + unit)
        case Polygon():
            return np.array([(point.x, point.y) for point in shape.points], np.float64).reshape(-1, 2)
        case Keypoint():
            return np.array([(shape.x, shape.y)], np.float64)


def pixels(shape: Shape, *, parts: int = 1) -> NDArray[np.int32]:
    """Return the corners of a shape as OpenCV takes them: whole numbers, (K, 2), of pixels or of ``parts`` of a pixel."""
    corners: NDArray[np.float64] = np.rint(np.clip(outline(shape), -_FAR, _FAR) * parts)
    return corners.astype(np.int32)
