"""From the outputs of an anomaly model to a prediction.

Model API's own decoding of these is not used: it takes the decision of Anomalib 2 (``pred_label``) for a name, lets scores
wrap around where maps exceed 1, and has no answer for a model that gives a score without a map.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.inference import outlines
from aiohooks.inference.conversion import Decode, Meta, Outputs
from aiohooks.inference.labels import LabelTable
from aiohooks.prediction import Prediction, Task


class _Finding(NamedTuple):
    anomalous: bool
    score: float  # 0–1, how anomalous the picture is
    heat_map: NDArray[np.uint8] | None  # 0–255, at the size of the frame
    mask: NDArray[np.uint8] | None  # 0 or 1, at the size of the frame


def picture(wrapper: Any, table: LabelTable) -> Decode:
    """Decode to one label for the whole picture, normal or anomalous, with the score of that label."""

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        return _whole(_finding(wrapper, outputs, meta), meta, table)

    return decode


def regions(wrapper: Any, table: LabelTable) -> Decode:
    """Decode to the outlines of anomalous regions, scored by the mean of the map inside; without any, as `picture`."""

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        finding = _finding(wrapper, outputs, meta)
        heat_map, mask = finding.heat_map, finding.mask
        if heat_map is None or mask is None:
            return _whole(finding, meta, table)
        lines = [loop for line, _ in outlines.outer_outlines(mask, every_point=True) for loop in outlines.loops(line)]
        if not lines:
            return _whole(finding, meta, table)
        return _prediction(
            finding, meta, table, [outlines.box_around(line) for line in lines],
            [outlines.mean_inside(heat_map, line, []) / 255 for line in lines],
            polygons=tuple(line.astype(np.float32) for line in lines),
        )  # fmt: skip

    return decode


def boxes(wrapper: Any, table: LabelTable) -> Decode:
    """Decode to boxes around anomalous regions, each with the score of the picture; without any, as `picture`."""

    def decode(outputs: Outputs, meta: Meta) -> Prediction:
        finding = _finding(wrapper, outputs, meta)
        lines = [] if finding.mask is None else [line for line, _ in outlines.outer_outlines(finding.mask)]
        if not lines:
            return _whole(finding, meta, table)
        found = [outlines.box_around(line) for line in lines]
        return _prediction(finding, meta, table, found, [finding.score] * len(found))

    return decode


def _finding(wrapper: Any, outputs: Outputs, meta: Meta) -> _Finding:
    height, width = meta["original_shape"][:2]
    params = wrapper.params
    if "pred_score" in outputs:  # Anomalib 2: everything is decided and scaled to 0–1 in the graph
        score, anomalous = float(outputs["pred_score"].item()), bool(outputs["pred_label"].item())
        scaled, mask = outputs["anomaly_map"], outputs["pred_mask"]
    else:
        raw = next(iter(outputs.values()))
        highest = float(raw.max())
        anomalous = highest > params.image_threshold
        score = (highest - params.image_threshold) / params.normalization_scale + 0.5
        if raw.ndim < 3:
            return _Finding(anomalous, min(max(score, 0.0), 1.0), None, None)
        scaled = (raw - params.pixel_threshold) / params.normalization_scale + 0.5
        mask = raw >= params.pixel_threshold
    heat_map = np.rint(np.clip(_plane(scaled), 0, 1) * 255).astype(np.uint8)
    return _Finding(
        anomalous,
        min(max(score, 0.0), 1.0),
        cv2.resize(heat_map, (width, height)).astype(np.uint8, copy=False),
        cv2.resize(_plane(mask).astype(np.uint8), (width, height)).astype(np.uint8, copy=False),
    )


def _plane(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(values.shape[-2:])


def _whole(finding: _Finding, meta: Meta, table: LabelTable) -> Prediction:
    height, width = meta["original_shape"][:2]
    score = finding.score if finding.anomalous else 1 - finding.score
    return _prediction(finding, meta, table, [(0, 0, width, height)], [score], anomalous=finding.anomalous)


def _prediction(
    finding: _Finding,
    meta: Meta,
    table: LabelTable,
    found: list[tuple[int, int, int, int]],
    scores: list[float],
    *,
    anomalous: bool = True,
    polygons: tuple[NDArray[np.float32], ...] | None = None,
) -> Prediction:
    # Class 0 is normal, 1 anomalous.
    labels, positions = table.locate(np.full(len(found), int(anomalous), np.int32))
    return Prediction(
        task=Task.ANOMALY, size=meta["original_shape"][:2], labels=labels, boxes=np.array(found, np.float32),
        scores=np.array(scores, np.float32), label_indices=positions, polygons=polygons, heat_map=finding.heat_map,
    )  # fmt: skip
