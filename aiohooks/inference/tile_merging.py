"""From what was found in tiles to a prediction of the picture, with the results of Model API's tilers.

Those hold everything that all tiles gave in memory, at the size of the picture, and go through saliency maps pixel by
pixel in Python; here both grow with what is found instead.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from model_api.models import DetectionModel, InstanceSegmentationModel, SegmentationModel, YOLOSeg
from numpy.typing import NDArray

from aiohooks.inference import conversion
from aiohooks.inference.labels import LabelTable
from aiohooks.inference.tile_findings import Explained, Objects, Pixels
from aiohooks.inference.tile_objects import BoxMerge, MaskMerge, drawing
from aiohooks.inference.tile_pixels import PixelMerge
from aiohooks.inference.tiling import Tiled, Tiling
from aiohooks.prediction import Task

Outputs = tuple[NDArray[Any], ...]
Meta = dict[str, Any]


def tiled(wrapper: Any, table: LabelTable, task: Task | None, tiling: Tiling, names: Sequence[str]) -> Tiled | None:
    """Return what runs a model on tiles; None if there is no way to merge what a model of this kind finds.

    Args:
        wrapper: Model API's, configured.
        table: the labels.
        task: what the model does.
        tiling: which tiles.
        names: of the outputs, in the model's order.
    """
    if isinstance(wrapper, SegmentationModel):
        return Tiled(tiling, _pixels_of(wrapper, names), lambda size: PixelMerge(size, tiling, table))
    if isinstance(wrapper, DetectionModel) and not isinstance(wrapper, YOLOSeg):
        return Tiled(tiling, _boxes_of(wrapper, table, names), lambda size: BoxMerge(size, tiling, table))
    if isinstance(wrapper, InstanceSegmentationModel):
        rotated, draw = task is Task.ROTATED_DETECTION, drawing(wrapper)
        return Tiled(
            tiling, _masks_of(wrapper, names), lambda size: MaskMerge(size, tiling, table, draw, rotated=rotated)
        )
    return None


def _boxes_of(wrapper: Any, table: LabelTable, names: Sequence[str]) -> Callable[[Outputs, Meta], Objects]:
    decode = conversion.detection(wrapper, table)

    def boxes_of(outputs: Outputs, meta: Meta) -> Objects:
        named = dict(zip(names, outputs, strict=True))
        explained = Explained.by(named)
        found = decode(named, meta)
        return Objects(found.boxes, found.scores, found.label_indices + table.first, None, explained)

    return boxes_of


def _masks_of(wrapper: Any, names: Sequence[str]) -> Callable[[Outputs, Meta], Objects]:
    # Masks stay as small as the model gives them, and the wrapper draws no saliency maps.
    wrapper = copy.copy(wrapper)
    wrapper._postprocess_semantic_masks = False
    wrapper.outputs = {name: layer for name, layer in wrapper.outputs.items() if name != "feature_vector"}

    def masks_of(outputs: Outputs, meta: Meta) -> Objects:
        named = dict(zip(names, outputs, strict=True))
        explained = Explained.by(named)
        found = wrapper.postprocess(named, meta)
        return Objects(found.bboxes, found.scores, found.labels, found.masks, explained)

    return masks_of


def _pixels_of(wrapper: Any, names: Sequence[str]) -> Callable[[Outputs, Meta], Pixels]:
    def pixels_of(outputs: Outputs, _: Meta) -> Pixels:
        named = dict(zip(names, outputs, strict=True))
        soft = np.ascontiguousarray(named[wrapper.output_blob_name][0].transpose(1, 2, 0), np.float32)
        return Pixels(soft, Explained.by(named))

    return pixels_of
