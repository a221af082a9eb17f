"""Annotations as ``supervision.Detections``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Annotation, Label, Polygon, RotatedRectangle
from aiohooks.shapes import bounds, outline, pixels

if TYPE_CHECKING:
    import supervision


def to_detections(
    annotations: Sequence[Annotation],
    *,
    masks: NDArray[np.uint8] | None = None,
    labels: Sequence[Label] = (),
    size: tuple[int, int],
) -> "supervision.Detections":
    """Return one row for each annotation, with its label of the highest score.

    Args:
        annotations: N objects; those without a label are left out.
        masks: (N, height, width), 1 inside the object; left out, shapes are filled where there are polygons among them.
        labels: the label table; ``class_id`` is the position in it.
        size: height and width of the frame in pixels.

    Returns:
        Detections with ``xyxy``, ``mask``, ``confidence``, ``class_id``, ``data["class_name"]`` and, if all shapes are rotated
        boxes, their corners, (N, 4, 2), in ``data["xyxyxyxy"]``, where supervision looks for them.

    Raises:
        ImportError: the package is missing.
    """
    try:
        import supervision  # an extra, and slow to load
    except ImportError as error:
        raise ImportError(
            "supervision is not installed: install aiohooks[supervision], for example by pip install 'aiohooks[supervision]'"
        ) from error
    labelled = [i for i, annotation in enumerate(annotations) if annotation.labels]
    if not labelled:
        return supervision.Detections.empty()
    found = [annotations[i] for i in labelled]
    best = [max(annotation.labels, key=lambda scored: scored.probability) for annotation in found]
    positions = {label: i for i, label in reversed(list(enumerate(labels)))}
    data: dict[str, Any] = {"class_name": np.array([scored.name for scored in best])}
    if all(isinstance(annotation.shape, RotatedRectangle) for annotation in found):
        data["xyxyxyxy"] = np.array([outline(annotation.shape) for annotation in found], np.float32)
    return supervision.Detections(
        xyxy=np.array([bounds(annotation.shape) for annotation in found], np.float32),
        mask=_filled(found, size) if masks is None else masks[labelled].astype(np.bool_),
        confidence=np.array([scored.probability for scored in best], np.float32),
        class_id=np.array([positions[scored.label] for scored in best], np.int64),
        data=data,
    )


def _filled(annotations: Sequence[Annotation], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    if not any(isinstance(annotation.shape, Polygon) for annotation in annotations):
        return None
    masks = np.zeros((len(annotations), *size), np.uint8)
    for mask, annotation in zip(masks, annotations, strict=True):
        cv2.fillPoly(mask, [pixels(annotation.shape)], 1)
    return masks.astype(np.bool_)
