"""Many pictures on one."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.drawing.captions import Caption, Line
from aiohooks.drawing.colors import RGB

_SIDE = 320
_GAP = 10
_COLUMNS = 4
_FONT_SIZE = 19
_PAPER: RGB = (24, 26, 31)


class Tile(NamedTuple):
    """One picture of a sheet.

    Attributes:
        image: RGB, uint8, H×W×3; its central square is shown, which is what a classifier sees.
        text: written on it.
        note: written to the right of the text.
        color: under the text.
    """

    image: NDArray[np.uint8]
    text: str
    note: str
    color: RGB


def contact_sheet(tiles: Sequence[Tile]) -> NDArray[np.uint8]:
    """Return a picture of all tiles, row by row: RGB, uint8; takes some milliseconds for each.

    Args:
        tiles: at least one.
    """
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step = _SIDE + _GAP
    sheet = np.empty((rows * step + _GAP, columns * step + _GAP, 3), np.uint8)
    sheet[:] = _PAPER
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        y, x = _GAP + row * step, _GAP + column * step
        sheet[y : y + _SIDE, x : x + _SIDE] = _square(tile.image)
        caption = Caption([Line(tile.text, tile.note, tile.color)], _FONT_SIZE, (_SIDE, _SIDE))
        caption.draw(sheet, x, y + _SIDE - caption.height)
    return sheet


def _square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    smooth = cv2.INTER_AREA if side > _SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (_SIDE, _SIDE), interpolation=smooth), np.uint8)
