"""From [1,N,5] boxes with [1,N] labels to detections: what Model API does in fewer steps, for Geti's detectors."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from model_api.models import ResizeMetadata
from numpy.typing import NDArray

from aiohooks.inference.explanation import Explanation
from aiohooks.inference.labels import LabelTable
from aiohooks.prediction import Prediction, Task
from aiohooks.prediction.assemble import assemble, numbers, read_only

_ZERO, _ONE = np.zeros((), np.float32), np.ones((), np.float32)


def boxes_and_labels(
    wrapper: Any, table: LabelTable
) -> Callable[[dict[str, NDArray[Any]], dict[str, Any]], Prediction]:
    """Return the decoder of upright boxes above ``confidence_threshold``, in whole pixels.

    Args:
        wrapper: Model API's, configured.
        table: the labels.
    """
    boxes_name, labels_name = wrapper.output_parser.bboxes_layer, wrapper.output_parser.labels_layer
    threshold, resize_type = wrapper.params.confidence_threshold, wrapper.params.resize_type
    model_size = np.array([wrapper.w, wrapper.h] * 2, np.float32)
    labels, first, known = table.all, table.first, len(table.labels)

    @lru_cache(maxsize=64)
    def placement(size: tuple[int, int]) -> tuple[NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32]]:
        """Return what to subtract from the model's pixels, what to multiply by then, and the far corner, as (x, y, x, y)."""
        height, width = size
        resize = ResizeMetadata.compute(width, height, wrapper.w, wrapper.h, resize_type)
        padded = resize.pad_left or resize.pad_top
        padding = np.array([resize.pad_left, resize.pad_top] * 2, np.float32) if padded else None
        scale = np.array([resize.inverted_scale_x, resize.inverted_scale_y] * 2, np.float32)
        return padding, scale, np.array([width, height] * 2, np.float32)

    def decode(outputs: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Prediction:
        size = meta["original_shape"][:2]
        rows = outputs[boxes_name].reshape(-1, 5)
        kept = rows[:, 4] > threshold
        rows = rows.compress(kept, axis=0)
        classes = (
            np.zeros(len(rows), np.int32) if labels_name is None else outputs[labels_name].reshape(-1).compress(kept)
        )
        padding, scale, corner = placement(size)
        # To and from the unit square as Model API does it, so that rounding falls on the same side.
        boxes = rows[:, :4] / model_size
        boxes *= model_size
        if padding is not None:
            boxes -= padding
        boxes *= scale
        np.rint(boxes, out=boxes)
        np.maximum(boxes, _ZERO, out=boxes)
        np.minimum(boxes, corner, out=boxes)
        scores = np.minimum(rows[:, 4], _ONE)
        sides = boxes[:, 2:] - boxes[:, :2]
        explanation = Explanation.of(outputs)
        numbered = classes.tolist()
        if (
            numbered
            and threshold >= 0
            and min(numbered) >= first
            and max(numbered) < first + known
            and np.minimum.reduce(sides, axis=None) > 1
        ):
            positions = classes.astype(np.int32)
            if first:
                positions -= first
            return assemble(
                task=Task.DETECTION, size=size, labels=labels, boxes=read_only(boxes), scores=read_only(scores),
                label_indices=read_only(positions), object_indices=numbers(0, len(numbered)),
                feature_vector=explanation.feature_vector, saliency_maps=explanation.saliency_maps,
            )  # fmt: skip
        solid = (sides[:, 0] * sides[:, 1] > 1) & (sides[:, 0] > 0) & (classes >= first)
        table_then, positions = table.locate(classes[solid])
        return Prediction.detection(
            size, table_then, boxes[solid], np.maximum(scores[solid], _ZERO), positions, **explanation._asdict()
        )

    return decode
