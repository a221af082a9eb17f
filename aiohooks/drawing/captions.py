"""Captions on pictures: lines of text on filled boxes, and where they go."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.drawing.colors import RGB, ink
from aiohooks.drawing.lettering import length, letters, shortened

Box = tuple[float, float, float, float]

# Among more captions than this there is no room to give way to.
_CROWD = 64


class Line(NamedTuple):
    """One line of a caption.

    Attributes:
        text: the left part, cut short where it does not fit.
        note: the right part, left out where it does not fit; may be empty.
        color: of the box under the text.
    """

    text: str
    note: str
    color: RGB


class Caption:
    """Lines of text on filled boxes, one below the other.

    Args:
        lines: the lines, at least one.
        font_size: in pixels.
        room: height and width of the picture; the caption is not larger: last lines that do not fit are left out.

    Attributes:
        height: in pixels.
        width: in pixels.
    """

    def __init__(self, lines: Sequence[Line], font_size: int, room: tuple[int, int]) -> None:
        self._padding = max(1, font_size // 4)
        self._colors = [line.color for line in lines]
        parts = [_line_letters(line, font_size, room[1] - 2 * self._padding) for line in lines]
        # The font of a text depends on its letters, and the height of a line on its font.
        self._line_height = max(part.shape[0] for line_parts in parts for part in line_parts) + font_size // 5
        self._parts = parts[: max(1, room[0] // self._line_height)]
        gap = font_size // 2
        widest = max(text.shape[1] + (gap + note.shape[1] if note.size else 0) for text, note in self._parts)
        self.width = min(widest + 2 * self._padding, room[1])
        self.height = min(self._line_height * len(self._parts), room[0])

    def draw(self, canvas: NDArray[np.uint8], x: int, y: int) -> None:
        """Draw it with its top left corner at x, y, in place."""
        for i, ((text, note), color) in enumerate(zip(self._parts, self._colors, strict=False)):
            top = y + i * self._line_height
            box = canvas[top : min(top + self._line_height, y + self.height), x : x + self.width]
            box[:] = color
            _write(box, text, self._padding, ink(color))
            _write(box, note, self.width - self._padding - note.shape[1], ink(color))


def _write(box: NDArray[np.uint8], text: NDArray[np.uint8], x: int, color: RGB) -> None:
    y = max(0, (box.shape[0] - text.shape[0]) // 2)
    place = box[y : y + text.shape[0], x : x + text.shape[1]]
    strength = text[: place.shape[0], : place.shape[1], None] / np.float32(255)
    place[:] = place + (np.array(color, np.float32) - place) * strength


class Layout:
    """Where captions go: inside the picture, and not on each other where that can be avoided.

    Args:
        room: height and width of the picture in pixels.
    """

    def __init__(self, room: tuple[int, int]) -> None:
        self._room = room
        self._taken = np.empty((0, 4), np.float32)

    def reserve(self, box: Box) -> None:
        """Keep captions off this box, x1, y1, x2, y2."""
        self._taken = np.concatenate([self._taken, np.array([box], np.float32)])

    def place(self, caption: Caption, around: Box, *, beside: bool = False) -> tuple[int, int]:
        """Return the top left corner for a caption at the box x1, y1, x2, y2, and reserve its place.

        Args:
            caption: what is to be placed.
            around: the box that it belongs to.
            beside: right and left of the box are better than above and below.
        """
        x1, y1, x2, y2 = around
        width, height = caption.width, caption.height
        middle, center = (y1 + y2 - height) / 2, (x1 + x2 - width) / 2
        sides = [(x2, middle), (x1 - width, middle), (center, y1 - height), (center, y2)]
        ends = [
            (x1, y1 - height), (x1, y1), (x2 - width, y1 - height), (x2 - width, y1),
            (x1, y2), (x1, y2 - height), (x2 - width, y2), (x2 - width, y2 - height),
        ]  # fmt: skip
        place, is_free = self._freest([*sides, *ends] if beside else [*ends, *sides], caption)
        if not is_free and len(self._taken) <= _CROWD:
            rows = [*self._taken[:, 3].tolist(), *(self._taken[:, 1] - height).tolist()]
            rows.sort(key=lambda row: abs(row - y1))
            place, _ = self._freest([place, *((x1, row) for row in rows)], caption)
        x, y = place
        self.reserve((x, y, x + width, y + height))
        return x, y

    def _freest(self, corners: Sequence[tuple[float, float]], caption: Caption) -> tuple[tuple[int, int], bool]:
        """Return the first of these corners, moved into the picture, where least is covered, and whether nothing is."""
        extent = np.array((caption.width, caption.height))
        limit = np.maximum(np.array((self._room[1], self._room[0])) - extent, 0)
        starts = np.rint(np.clip(np.array(corners), 0, limit))
        overlap_start = np.maximum(starts[:, None], self._taken[None, :, :2])
        overlap_end = np.minimum((starts + extent)[:, None], self._taken[None, :, 2:])
        covered = np.maximum(overlap_end - overlap_start, 0).prod(axis=2).sum(axis=1)
        best = int(covered.argmin())
        x, y = starts[best].tolist()
        return (int(x), int(y)), not covered[best]


def _line_letters(line: Line, font_size: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    text = letters(shortened(line.text, font_size, width), font_size)
    if line.note and length(line.text, font_size) + font_size // 2 + length(line.note, font_size) <= width:
        return text, letters(line.note, font_size)
    return text, np.zeros((0, 0), np.uint8)
