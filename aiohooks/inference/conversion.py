"""From a model's outputs to a prediction, through Model API's wrapper: one function per task.

Each takes the configured wrapper and the label table once and returns the function that decodes one inference.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from model_api.models.ssd import BoxesLabelsParser
from numpy.typing import NDArray

from aiohooks.errors import LoadError
from aiohooks.inference import outlines
from aiohooks.inference.boxes_and_labels import boxes_and_labels
from aiohooks.inference.explanation import Explanation, as_bytes
from aiohooks.inference.labels import LabelTable
from aiohooks.inference.top_class import probabilities, top_class
from aiohooks.prediction import Prediction, Task

Outputs = dict[str, NDArray[Any]]
Meta = dict[str, Any]
"""What the wrapper's preprocessing notes for its postprocessing, such as ``original_shape``."""

Decode = Callable[[Outputs, Meta], Prediction]


def classification(wrapper: Any, table: LabelTable) -> Decode:
    """Decode class scores: the best ``topk``, every one above ``confidence_threshold`` (multi-label), or a label tree."""
    params = wrapper.params
    if params.hierarchical:
        return _label_tree(wrapper, table)
    name, multilabel = wrapper.out_layer_names[0], params.multilabel
    top, threshold = params.topk, params.confidence_threshold
    if top == 1 and not multilabel:
        return top_class(name, table)

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        logits = outputs[name].reshape(-1).astype(np.float32, copy=False)
        scores = sigmoid(logits) if multilabel else probabilities(logits)
        classes = np.flatnonzero(scores > threshold) if multilabel else np.argsort(-scores, kind="stable")[:top]
        labels, positions = table.locate(classes)
        return Prediction.classification(
            meta["original_shape"][:2],
            labels,
            scores[classes],
            positions,
            class_scores=scores,
            **Explanation.of(outputs)._asdict(),
        )

    return decode


def _label_tree(wrapper: Any, table: LabelTable) -> Decode:
    name, tokens = wrapper.out_layer_names[0], wrapper.params.labels
    heads = wrapper.hierarchical_info["cls_heads_info"]
    order = [_logit_position(heads, token) for token in tokens]

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        logits = outputs[name].reshape(-1)
        found = wrapper.get_hierarchical_predictions(logits)
        labels, positions = table.locate(np.array([tokens.index(label.name) for label in found], np.int32))
        saliency = wrapper.get_saliency_maps(outputs)  # in the order of the labels, not of the heads
        return Prediction.classification(
            meta["original_shape"][:2], labels, [label.confidence for label in found], positions,
            class_scores=wrapper.get_all_probs(logits)[order],
            feature_vector=outputs.get("feature_vector"), saliency_maps=as_bytes(saliency[0]) if saliency.size else None,
        )  # fmt: skip

    return decode


def _logit_position(heads: dict[str, Any], token: str) -> int:
    group, index = heads["class_to_group_idx"][token]
    if group < heads["num_multiclass_heads"]:
        return int(heads["head_idx_to_logits_range"][str(group)][0] + index)
    return int(heads["num_single_label_classes"] + group - heads["num_multiclass_heads"])


def detection(wrapper: Any, table: LabelTable) -> Decode:
    """Decode upright boxes above ``confidence_threshold``, in whole pixels as Model API gives them."""
    if isinstance(getattr(wrapper, "output_parser", None), BoxesLabelsParser) and not wrapper.params.nms_execute:
        return boxes_and_labels(wrapper, table)

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        explanation = Explanation.of(outputs)._asdict()
        result = wrapper.postprocess(outputs, meta)
        boxes = result.bboxes.astype(np.float32)
        # Model API keeps a box that is turned inside out in both directions; padding may have class -1.
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (result.labels >= table.first)
        labels, positions = table.locate(result.labels[kept])
        return Prediction.detection(
            meta["original_shape"][:2], labels, boxes[kept], _unit(result.scores[kept]), positions, **explanation
        )

    return decode


def instance_segmentation(wrapper: Any, table: LabelTable) -> Decode:
    """Decode boxes with masks; the polygon of an object is its largest outline. An object of no area is left out."""
    return _instances(wrapper, table, rotated=False)


def rotated_detection(wrapper: Any, table: LabelTable) -> Decode:
    """Decode boxes with masks to rotated boxes: the smallest around the largest outline of each mask."""
    return _instances(wrapper, table, rotated=True)


def _instances(wrapper: Any, table: LabelTable, *, rotated: bool) -> Decode:
    # The wrapper would draw saliency maps from the masks, at the size of the frame: they say nothing that the masks don't.
    wrapper.outputs.pop("feature_vector", None)
    task = Task.ROTATED_DETECTION if rotated else Task.INSTANCE_SEGMENTATION

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        explanation = Explanation.of(outputs)._asdict()
        result = wrapper.postprocess(outputs, meta)
        size = meta["original_shape"][:2]
        lines = [outlines.largest_outline(mask) for mask in result.masks]
        kept = [index for index, line in enumerate(lines) if line is not None]
        found = [line for line in lines if line is not None]
        labels, positions = table.locate(result.labels[kept])
        return Prediction(
            task=task, size=size, labels=labels, boxes=result.bboxes[kept].astype(np.float32).reshape(-1, 4),
            scores=_unit(result.scores[kept]), label_indices=positions,
            masks=None if rotated else result.masks[kept].astype(np.uint8, copy=False).reshape(-1, *size),
            polygons=None if rotated else tuple(line.astype(np.float32) for line in found),
            rotated_boxes=np.array([outlines.rotated_box_around(line) for line in found], np.float32).reshape(-1, 5) if rotated else None,
            **explanation,
        )  # fmt: skip

    return decode


def segmentation(wrapper: Any, table: LabelTable) -> Decode:
    """Decode one score per pixel and class: objects are the connected regions, scored by their mean.

    Raises:
        LoadError: the model gives label numbers or one mask; Model API takes them and fails on every picture.
    """
    name = wrapper.output_blob_name
    if wrapper.out_channels < 2:
        raise LoadError(
            f"its output {name!r} has no score per class and pixel, which model_type 'Segmentation' needs; pass decoder="
        )

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        # Seeing it, the wrapper would draw maps at the size of the frame.
        feature_vector = Explanation.of(outputs).feature_vector
        outputs.pop("feature_vector", None)
        soft = outputs[name]
        if soft.min() < 0 or soft.max() > 1:
            outputs[name] = soft = _softmax_over_channels(soft)
        saliency = None if feature_vector is None else as_bytes(soft[0, 1:] * 255)
        result = wrapper.postprocess(outputs, meta)
        label_map = result.resultImage.astype(np.uint8)
        boxes, scores, classes, polygons = [], [], [], []
        for channel in np.flatnonzero(np.bincount(label_map.reshape(-1))[1:]).tolist():
            region = (label_map == channel + 1).astype(np.uint8)
            for line, holes in outlines.outer_outlines(region, every_point=True, wanted=outlines.is_wide):
                boxes.append(outlines.box_around(line))
                scores.append(outlines.mean_inside(result.soft_prediction[:, :, channel + 1], line, holes))
                classes.append(channel)
                polygons.append(line.astype(np.float32))
        labels, positions = table.locate(np.array(classes, np.int32))
        return Prediction(
            task=Task.SEGMENTATION, size=label_map.shape, labels=labels, boxes=np.array(boxes, np.float32).reshape(-1, 4),
            scores=_unit(np.array(scores)), label_indices=positions, polygons=tuple(polygons), label_map=label_map,
            feature_vector=feature_vector, saliency_maps=saliency,
        )  # fmt: skip

    return decode


def keypoint_detection(wrapper: Any, table: LabelTable) -> Decode:
    """Decode one point per label; a point to which the model responds nowhere is left out."""

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        result = wrapper.postprocess(outputs, meta)
        points = result.keypoints.reshape(-1, 2)
        found = np.flatnonzero((points >= 0).all(axis=1))
        scores = _unit(result.scores.reshape(-1)[found])
        labels, positions = table.locate(found)
        return Prediction(
            task=Task.KEYPOINT_DETECTION, size=meta["original_shape"][:2], labels=labels,
            boxes=np.tile(points[found], 2).astype(np.float32), scores=scores, label_indices=positions,
            keypoints=np.column_stack([points[found], scores]).astype(np.float32),
        )  # fmt: skip

    return decode


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + e⁻ˣ)."""
    return np.float32(1) / (np.float32(1) + np.exp(-logits))


def _softmax_over_channels(logits: NDArray[Any]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _unit(scores: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(np.clip(scores, 0, 1), np.float32)
