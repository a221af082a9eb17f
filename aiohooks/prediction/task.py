"""What a model does with a picture."""

from enum import StrEnum

from aiohooks.annotation import Label
from aiohooks.shapes import ShapeRows


class Task(StrEnum):
    """What a model does with a picture."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    ROTATED_DETECTION = "rotated_detection"
    INSTANCE_SEGMENTATION = "instance_segmentation"
    SEGMENTATION = "segmentation"
    ANOMALY = "anomaly"
    KEYPOINT_DETECTION = "keypoint_detection"


def told_by(rows: ShapeRows, labels: tuple[Label, ...], size: tuple[int, int]) -> Task:
    """Return the task that these shapes and this label table suggest, in a frame of this height and width."""
    height, width = size
    if any(label.is_anomalous for label in labels):
        return Task.ANOMALY
    if rows.rotated_boxes is not None:
        return Task.ROTATED_DETECTION
    if rows.polygons is not None:
        return Task.INSTANCE_SEGMENTATION
    if rows.keypoints is not None:
        return Task.KEYPOINT_DETECTION
    whole = len(rows.boxes) == 1 and rows.boxes[0].tolist() == [0, 0, width, height]
    return Task.CLASSIFICATION if whole else Task.DETECTION
