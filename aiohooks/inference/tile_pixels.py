"""Segmentation of a picture, from that of its tiles."""

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.inference import conversion
from aiohooks.inference.labels import LabelTable
from aiohooks.inference.tile_explanations import mean_vector
from aiohooks.inference.tile_findings import Explained, Pixels
from aiohooks.inference.tiling import Tile, Tiling
from aiohooks.prediction import Prediction

_ROWS_AT_ONCE = 256


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
