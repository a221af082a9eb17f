"""A prediction of a large picture as one of a small copy of it, so that drawing costs what the small one does."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.prediction import Prediction


def shrunk(prediction: Prediction, size: tuple[int, int]) -> Prediction:
    """Return what was seen, in pixels of a copy of the picture. Blocks.

    Args:
        prediction: of the picture.
        size: height and width of the copy.
    """
    # By hand, x and y apart: rounding gives the sides of a copy slightly different scales, and a box around all must stay one.
    across, down = size[1] / prediction.size[1], size[0] / prediction.size[0]
    masks, polygons = prediction.masks, prediction.polygons
    return replace(
        prediction,
        size=size,
        boxes=_scaled(prediction.boxes, across, down, across, down),
        masks=None if masks is None else np.array([_map(mask, size) for mask in masks], np.uint8).reshape(-1, *size),
        polygons=None
        if polygons is None
        else tuple(None if line is None else _scaled(line, across, down) for line in polygons),
        rotated_boxes=_scaled(prediction.rotated_boxes, across, down, across, down, 1.0),
        keypoints=_scaled(prediction.keypoints, across, down, 1.0),
        label_map=_map(prediction.label_map, size),
        heat_map=_map(prediction.heat_map, size),
        saliency_maps=None,
    )


def _scaled(rows: NDArray[Any] | None, *scales: float) -> Any:
    return None if rows is None else (rows * np.array(scales)).astype(np.float32)


def _map(values: NDArray[Any] | None, size: tuple[int, int]) -> Any:
    import cv2  # heavy: loaded when first used

    return None if values is None else cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST)
