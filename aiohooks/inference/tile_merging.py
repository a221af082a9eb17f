"""From what was found in tiles to a prediction of the picture, with the results of Model API's tilers.

Those hold everything that all tiles gave in memory, at the size of the picture, and go through saliency maps pixel by
pixel in Python; here both grow with what is found instead.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from model_api.models import (
    DetectionModel,
    DETRInstanceSegmentation,
    InstanceSegmentationModel,
    SegmentationModel,
    YOLOSeg,
)
from numpy.typing import NDArray

from aiohooks.inference import conversion, outlines
from aiohooks.inference.explanation import as_bytes
from aiohooks.inference.labels import LabelTable
from aiohooks.inference.tiling import Tile, Tiled, Tiling
from aiohooks.prediction import Prediction, Task

MOST_MASK_BYTES = 1 << 30
"""Masks at the size of the picture are left out of a prediction where they would take more; polygons are always there."""

_ROWS_AT_ONCE = 256

Outputs = tuple[NDArray[Any], ...]
Meta = dict[str, Any]


class Explained(NamedTuple):
    """What explains one tile; None where the model does not give it.

    Attributes:
        vector: (D,).
        maps: (C, h, w), of the type that the model gives.
    """

    vector: NDArray[Any] | None
    maps: NDArray[Any] | None

    @classmethod
    def by(cls, outputs: dict[str, NDArray[Any]]) -> "Explained":
        """Read the outputs ``feature_vector`` and ``saliency_map``."""
        vector, maps = outputs.get("feature_vector"), outputs.get("saliency_map")
        return cls(None if vector is None else vector.reshape(-1), None if maps is None else maps[0])


class Objects(NamedTuple):
    """What was found in one tile.

    Attributes:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the tile.
        scores: (N,).
        classes: (N,), the model's class numbers.
        masks: (N, h, w) as the model gives them; None for a model without.
        explained: the tile as a whole.
    """

    boxes: NDArray[Any]
    scores: NDArray[Any]
    classes: NDArray[Any]
    masks: NDArray[Any] | None
    explained: Explained


class Pixels(NamedTuple):
    """What was seen in one tile.

    Attributes:
        soft: (h, w, C), scores of the background and of each label at the model's resolution.
        explained: the tile as a whole.
    """

    soft: NDArray[np.float32]
    explained: Explained


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
        rotated, draw = task is Task.ROTATED_DETECTION, _drawing(wrapper)
        return Tiled(
            tiling, _masks_of(wrapper, names), lambda size: MaskMerge(size, tiling, table, draw, rotated=rotated)
        )
    return None


# what was found in a tile


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


# objects


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


def _drawing(wrapper: Any) -> Drawing:
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


# pixels


class PixelMerge:
    """Scores of pixels, averaged where tiles overlap; objects are the connected regions of one label.

    Scores of all classes are kept only for the columns that tiles still to come may reach.
    """

    adds_quickly = False

    def __init__(self, size: tuple[int, int], tiling: Tiling, table: LabelTable) -> None:
        self._size = size
        self._tiling = tiling
        self._table = table
        self._label_map = np.zeros(size, np.uint8)
        self._scores = np.zeros(size, np.float32)  # of the label that each pixel has
        self._explained: list[Explained] = []
        self._whole: NDArray[np.float32] | None = None
        self._sums: NDArray[np.float32] | None = None  # of the columns from self._left on
        self._votes = np.zeros((0, 0), np.int32)
        self._left = 0
        self._are_logits = False

    def add(self, tile: Tile, found: Pixels) -> None:
        """Take in what was seen in a tile."""
        soft = found.soft
        self._explained.append(found.explained)
        self._are_logits = self._are_logits or bool(soft.min() < 0 or soft.max() > 1)
        if self._tiling.tile_with_full_img and len(self._explained) == 1:
            self._whole = soft
            return
        if self._sums is None:
            self._begin(soft.shape[2])
        elif tile.x1 > self._left:
            self._advance(tile.x1)
        assert self._sums is not None
        place = np.s_[tile.y1 : tile.y2, tile.x1 - self._left : tile.x2 - self._left]
        self._sums[place] += _nearest(soft, tile.y2 - tile.y1, tile.x2 - tile.x1)
        self._votes[place] += 1

    def finish(self) -> Prediction:
        """Return the prediction."""
        self._settle(self._size[1])
        self._sums = None
        return conversion.regions(
            self._label_map, lambda _: self._scores, self._table, feature_vector=mean_vector(self._explained)
        )

    def _begin(self, classes: int) -> None:
        shape = (self._size[0], min(self._tiling.tile_size, self._size[1]))
        self._sums = np.zeros((*shape, classes), np.float32)
        self._votes = np.zeros(shape, np.int32)
        self._fill(0)

    def _fill(self, start: int) -> None:
        """Begin new columns, from this one of the buffer on, with what was seen in the whole picture."""
        assert self._sums is not None
        self._sums[:, start:] = 0
        self._votes[:, start:] = 0
        stop = min(self._sums.shape[1], self._size[1] - self._left)
        if self._whole is not None and stop > start:
            rows, columns = (
                _nearest(np.arange(there, dtype=np.float32)[:, None], here, 1)[:, 0].astype(int)
                for there, here in zip(self._whole.shape[:2], self._size, strict=True)
            )
            columns = columns[self._left + start : self._left + stop]
            for top in range(0, self._size[0], _ROWS_AT_ONCE):
                some = rows[top : top + _ROWS_AT_ONCE]
                self._sums[top : top + len(some), start:stop] = self._whole[some[:, None], columns]
            self._votes[:, start:stop] = 1

    def _advance(self, left: int) -> None:
        assert self._sums is not None
        self._settle(left)
        width, done = self._sums.shape[1], left - self._left
        for top in range(0, self._size[0], _ROWS_AT_ONCE):
            for rows in (array[top : top + _ROWS_AT_ONCE] for array in (self._sums, self._votes)):
                rows[:, : width - done] = rows[:, done:].copy()
        self._left = left
        self._fill(width - done)

    def _settle(self, right: int) -> None:
        """Decide about the columns left of this one: all tiles that reach them have come."""
        if self._sums is None:
            return
        columns = right - self._left
        for top in range(0, self._size[0], _ROWS_AT_ONCE):
            rows = slice(top, top + _ROWS_AT_ONCE)
            sums, votes = self._sums[rows, :columns], self._votes[rows, :columns]
            best, labels = _best(sums)
            scores = best / votes
            if self._are_logits:
                scores = 1 / np.exp((sums - best[..., None]) / votes[..., None]).sum(axis=2)
            self._label_map[rows, self._left : right] = labels
            self._scores[rows, self._left : right] = scores


def _best(sums: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the highest of each pixel's values and which it is: max and argmax over a short axis, in a third of the time."""
    best, which = sums[..., 0].copy(), np.zeros(sums.shape[:2], np.uint8)
    for index in range(1, sums.shape[2]):
        values = sums[..., index]
        which[values > best] = index
        np.maximum(best, values, out=best)
    return best, which


def _nearest(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.float32).reshape(height, width, *values.shape[2:])


# explanations


def mean_vector(explained: Sequence[Explained]) -> NDArray[np.float32] | None:
    """Return the mean of the tiles' feature vectors; None if there are none."""
    vectors = [one.vector for one in explained if one.vector is not None]
    return np.asarray(np.mean(vectors, axis=0), np.float32) if vectors else None


def merged_maps(
    maps: Sequence[NDArray[Any] | None], tiles: Sequence[Tile], size: tuple[int, int], tiling: Tiling
) -> NDArray[np.uint8] | None:
    """Return the saliency maps of a picture: those of its tiles side by side, stretched to 0–255 by x to the power of 1.5.

    Where tiles overlap, each takes half of the value with all before it; the whole picture adds half of its own.

    Args:
        maps: of each tile, (C, h, w); None for a model without.
        tiles: where they are.
        size: height and width of the picture.
        tiling: which tiles there are.

    Returns:
        (C, h', w'), or None.
    """
    found = [one for one in maps if one is not None]
    if len(found) < 2:
        return as_bytes(found[0]) if found else None
    classes, rows, columns = found[0].shape
    down, across = rows / min(size[0], tiling.tile_size), columns / min(size[1], tiling.tile_size)
    merged = np.zeros((classes, int(size[0] * down), int(size[1] * across)))
    first = 1 if tiling.tile_with_full_img else 0
    for tile, one in zip(tiles[first:], found[first:], strict=True):
        y1, x1, y2, x2 = int(tile.y1 * down), int(tile.x1 * across), int(tile.y2 * down), int(tile.x2 * across)
        if y2 <= y1 or x2 <= x1:
            continue
        piece, (height, width) = one, (y2 - y1, x2 - x1)
        if (height < rows and width < columns) or height > rows or width > columns:
            piece = _resized(one, height, width)
        piece = piece[:, :height, :width]
        before = merged[:, y1:y2, x1:x2]
        merged[:, y1:y2, x1:x2] = np.where(before != 0, 0.5 * (piece + before), piece)
    if tiling.tile_with_full_img:
        merged += 0.5 * _resized(found[0], *merged.shape[1:])
    merged = (merged - merged.min(axis=(1, 2), keepdims=True)) ** 1.5
    stretched: NDArray[np.float64] = np.floor(255.0 / (merged.max(axis=(1, 2), keepdims=True) + 1e-12) * merged)
    return stretched.astype(np.uint8)


def _resized(maps: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    return np.stack([cv2.resize(one, (width, height)) for one in maps])
