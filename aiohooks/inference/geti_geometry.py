"""Shapes in whole pixels, as Geti and its SDK have them."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import RotatedRectangle
from aiohooks.prediction import Prediction
from aiohooks.shapes import outline


def as_in_geti(prediction: Prediction) -> Prediction:
    """Return the prediction with its rotated boxes and keypoints in whole pixels; boxes and outlines already are."""
    if not len(prediction):
        return prediction
    if prediction.rotated_boxes is not None:
        boxes = [_whole_box(*row) for row in prediction.rotated_boxes.tolist()]
        return replace(prediction, rotated_boxes=np.array(boxes, np.float32))
    if prediction.keypoints is not None:
        points: NDArray[np.float32] = np.rint(prediction.keypoints[:, :2])
        return replace(
            prediction, keypoints=np.column_stack([points, prediction.keypoints[:, 2]]), boxes=np.tile(points, 2)
        )
    return prediction


def _whole_box(
    x: float, y: float, width: float, height: float, angle: float
) -> tuple[float, float, float, float, float]:
    """Return the rotated box that geti-sdk makes of four corners in whole pixels.

    It takes any two corners with a coordinate in common for an upright box. Here only neighbours are: the opposite corners of a box
    at 45 degrees have one in common, too.
    """
    corners = np.rint(outline(RotatedRectangle(angle, x, y, width, height)))
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    centre = int((left + right) / 2), int((top + bottom) / 2)
    if (corners == np.roll(corners, 1, axis=0)).any():
        return *centre, right - left, bottom - top, 0.0
    most_left, highest = corners[corners[:, 0].argmin()], corners[corners[:, 1].argmin()]
    along = corners[corners[:, 0].argmax()] - highest
    length = math.hypot(*along)
    degrees = round(math.degrees(math.asin(np.float32(along[1]) / np.float32(length))), 4)
    return *centre, int(length), int(math.hypot(*(most_left - highest))), degrees
