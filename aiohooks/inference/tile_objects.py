"""Objects in a picture, from those in its tiles."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from model_api.models import DETRInstanceSegmentation
from numpy.typing import NDArray

from aiohooks.inference import outlines
from aiohooks.inference.labels import LabelTable
from aiohooks.inference.tile_explanations import mean_vector, merged_maps
from aiohooks.inference.tile_findings import Objects
from aiohooks.inference.tiling import Tile, Tiling
from aiohooks.prediction import Prediction, Task

MOST_MASK_BYTES = 1 << 30
"""Masks at the size of the picture are left out of a prediction where they would take more; polygons are always there."""


class BoxMerge:
    """Boxes of all tiles, without those that say the same."""

    adds_quickly = True

    def __init__(self, size: tuple[int, int], tiling: Tiling, table: LabelTable) -> None:
        self.size = size
        self._tiling = tiling
        self._table = table
        self._tiles: list[Tile] = []
        self._found: list[Objects] = []

    def add(self, tile: Tile, found: Objects) -> None:
        """Take in what was found in a tile."""
        self._tiles.append(tile)
        self._found.append(found)

    def finish(self) -> Prediction:
        """Return the prediction."""
        boxes, scores, classes, owners = self._together()
        kept = distinct(boxes, scores, classes, self._tiling.iou_threshold, self._tiling.max_pred_number)
        explained = [found.explained for found in self._found]
        vector = mean_vector(explained)
        saliency = merged_maps([one.maps for one in explained], self._tiles, self.size, self._tiling)
        return self._prediction(boxes[kept], scores[kept], classes[kept], owners[kept], vector, saliency)

    def _together(self) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Return boxes in pixels of the picture, scores, classes, and in which tile and where there each was found."""
        boxes, scores, classes, owners = [np.empty((0, 4))], [np.empty(0)], [np.empty(0, int)], [np.empty((0, 2), int)]
        for index, (tile, found) in enumerate(zip(self._tiles, self._found, strict=True)):
            count = len(found.scores)
            boxes.append(found.boxes.reshape(-1, 4) + np.array([tile.x1, tile.y1, tile.x1, tile.y1], np.float64))
            scores.append(found.scores)
            classes.append(found.classes)
            owners.append(np.column_stack([np.full(count, index), np.arange(count)]))
        return (
            np.concatenate(boxes),
            np.concatenate(scores).astype(np.float32),
            np.concatenate(classes).astype(np.int64),
            np.concatenate(owners),
        )

    def _prediction(
        self,
        boxes: NDArray[np.float64],
        scores: NDArray[np.float32],
        classes: NDArray[np.int64],
        _owners: NDArray[np.int64],
        vector: NDArray[np.float32] | None,
        saliency: NDArray[np.uint8] | None,
    ) -> Prediction:
        labels, positions = self._table.locate(classes)
        return Prediction.detection(
            self.size, labels, boxes, scores, positions, feature_vector=vector, saliency_maps=saliency
        )


Drawing = Callable[[NDArray[Any], NDArray[Any], Tile, tuple[int, int]], tuple[NDArray[np.uint8], int, int]]
"""From a box in pixels of the picture, its mask, its tile and the picture's size to a mask of pixels, and its left and top."""


class MaskMerge(BoxMerge):
    """Objects with masks of all tiles, without those whose boxes say the same; one of no area is left out."""

    def __init__(
        self, size: tuple[int, int], tiling: Tiling, table: LabelTable, draw: Drawing, *, rotated: bool
    ) -> None:
        super().__init__(size, tiling, table)
        self._draw = draw
        self._rotated = rotated

    def _prediction(
        self,
        boxes: NDArray[np.float64],
        scores: NDArray[np.float32],
        classes: NDArray[np.int64],
        owners: NDArray[np.int64],
        vector: NDArray[np.float32] | None,
        saliency: NDArray[np.uint8] | None,
    ) -> Prediction:
        drawn, lines, kept = [], [], []
        for number, (box, (owner, row)) in enumerate(zip(boxes, owners.tolist(), strict=True)):
            masks = self._found[owner].masks
            assert masks is not None
            mask, left, top = self._draw(box, masks[row], self._tiles[owner], self.size)
            line = outlines.largest_outline(mask)
            if line is not None:
                drawn.append((mask, left, top))
                lines.append(line + np.array([left, top], np.int32))
                kept.append(number)
        labels, positions = self._table.locate(classes[kept])
        return Prediction(
            task=Task.ROTATED_DETECTION if self._rotated else Task.INSTANCE_SEGMENTATION, size=self.size, labels=labels,
            boxes=np.round(boxes[kept]).astype(np.float32), scores=np.clip(scores[kept], 0, 1), label_indices=positions,
            masks=None if self._rotated else self._full_masks(drawn),
            polygons=None if self._rotated else tuple(line.astype(np.float32) for line in lines),
            rotated_boxes=np.array([outlines.rotated_box_around(line) for line in lines], np.float32).reshape(-1, 5)
            if self._rotated else None,
            feature_vector=vector, saliency_maps=saliency,
        )  # fmt: skip

    def _full_masks(self, drawn: list[tuple[NDArray[np.uint8], int, int]]) -> NDArray[np.uint8] | None:
        if len(drawn) * self.size[0] * self.size[1] > MOST_MASK_BYTES:
            return None
        masks = np.zeros((len(drawn), *self.size), np.uint8)
        for full, (mask, left, top) in zip(masks, drawn, strict=True):
            full[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return masks


def drawing(wrapper: Any) -> Drawing:
    """Return how the masks of an instance segmentation model are drawn."""
    draw = wrapper._postprocess_single_mask

    def in_box(
        box: NDArray[Any], mask: NDArray[Any], _: Tile, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], int, int]:
        # What the wrapper draws reaches beyond the box by one pixel of the mask. The rest of its picture is never touched,
        # so it takes no memory.
        margin = np.ceil((box[2:] - box[:2]) / mask.shape[0]) + 2
        left, top = np.maximum(box[:2] - margin, 0).astype(int).tolist()
        right, bottom = (box[2:] + margin).astype(int).tolist()
        return draw(box, mask, *size)[top:bottom, left:right].copy(), left, top

    def in_tile(
        box: NDArray[Any], mask: NDArray[Any], tile: Tile, _: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], int, int]:
        # Its masks cover the whole tile, whatever the box. (Model API's tiler squeezes them into the box.)
        drawn = draw(box, mask, tile.y2 - tile.y1, tile.x2 - tile.x1)
        x, y, width, height = cv2.boundingRect(drawn)
        return drawn[y : y + height, x : x + width].copy(), tile.x1 + x, tile.y1 + y

    return in_tile if isinstance(wrapper, DETRInstanceSegmentation) else in_box


def distinct(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    iou_threshold: float,
    most: int,
) -> NDArray[np.int64]:
    """Return the positions of the boxes that remain, best first, after non-maximum suppression within each class.

    It is Model API's ``multiclass_nms``, but ends when it has enough.

    Args:
        boxes: (N, 4), x1, y1, x2, y2, none below 0.
        scores: (N,).
        classes: (N,).
        iou_threshold: of two boxes that overlap by more, the one with the lower score goes.
        most: how many to return at most; 0 for all.
    """
    if not len(boxes):
        return np.empty(0, np.int64)
    # Classes lie so far apart that no two of them overlap.
    apart = boxes + classes[:, None] * (boxes.max() + 1)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = scores.astype(np.float64).argsort()[::-1]
    kept: list[int] = []
    while order.size and not (most and len(kept) == most):
        best, order = order[0], order[1:]
        kept.append(int(best))
        sides = np.minimum(apart[best, 2:], apart[order, 2:]) - np.maximum(apart[best, :2], apart[order, :2])
        shared = np.maximum(sides, 0).prod(axis=1)
        union = areas[best] + areas[order] - shared
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union != 0)
        order = order[overlap <= iou_threshold]
    return np.array(kept, np.int64)
