"""What explains a picture, from what explains its tiles."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.inference.explanation import as_bytes
from aiohooks.inference.tile_findings import Explained
from aiohooks.inference.tiling import Tile, Tiling


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
