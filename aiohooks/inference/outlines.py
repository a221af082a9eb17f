"""From masks to outlines, boxes and rotated boxes."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.int32]
"""Points x, y of a closed line, (K, 2)."""


def values_in(label_map: NDArray[np.uint8]) -> list[int]:
    """Return the values in (height, width) but 0, from the lowest on."""
    # numpy's bincount would first make 8 bytes of each.
    counts = cv2.calcHist([label_map], [0], None, [256], [0, 256])
    return (np.flatnonzero(counts[1:]) + 1).tolist()


def has_area(line: Outline) -> bool:
    """Tell whether there is a pixel of area or more inside the line."""
    return len(line) > 2 and bool(cv2.contourArea(line) >= 1)


def is_wide(line: Outline) -> bool:
    """Tell whether the line goes more than a pixel away from a straight one."""
    return len(cv2.approxPolyDP(line, 1.0, True)) > 2


def outer_outlines(
    mask: NDArray[np.uint8], *, every_point: bool = False, wanted: Callable[[Outline], bool] = has_area
) -> list[tuple[Outline, list[Outline]]]:
    """Return the outer lines around what is not 0, each with the lines around its holes.

    Args:
        mask: (height, width).
        every_point: keep the points between the corners.
        wanted: other lines are left out.
    """
    method = cv2.CHAIN_APPROX_NONE if every_point else cv2.CHAIN_APPROX_SIMPLE
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, method)
    if not contours:
        return []
    lines = [contour.reshape(-1, 2).astype(np.int32, copy=False) for contour in contours]
    parents = hierarchy[0, :, 3].tolist()
    holes: dict[int, list[Outline]] = {}
    for line, parent in zip(lines, parents, strict=True):
        if parent != -1:
            holes.setdefault(parent, []).append(line)
    return [
        (line, holes.get(index, []))
        for index, (line, parent) in enumerate(zip(lines, parents, strict=True))
        if parent == -1 and wanted(line)
    ]


def largest_outline(mask: NDArray[np.uint8]) -> Outline | None:
    """Return the outer line with the largest area; None if the mask holds nothing of one pixel or more."""
    lines = [line for line, _ in outer_outlines(mask)]
    return max(lines, key=cv2.contourArea, default=None)


def loops(line: Outline) -> list[Outline]:
    """Split a line that passes through a point twice into loops that do not, and leave out what has no area.

    The loop that begins last comes first, as in geti-sdk.
    """
    path: list[tuple[int, tuple[int, int]]] = []  # the place in the line, and the point
    position: dict[tuple[int, int], int] = {}
    found: list[tuple[int, Outline]] = []
    for place, point in enumerate([*map(tuple, line.tolist()), tuple(line[0].tolist())]):
        if point in position:
            start = position[point]
            begin = path[start][0]
            loop = np.array([passed for _, passed in path[start:]], np.int32)
            for _, passed in path[start + 1 :]:
                del position[passed]
            path[start:] = [(place, point)]
            if len(loop) > 2 and cv2.contourArea(loop) > 0:
                found.append((begin, loop))
        else:
            position[point] = len(path)
            path.append((place, point))
    return [loop for _, loop in sorted(found, key=lambda one: one[0], reverse=True)]


def mean_inside(values: NDArray[Any], line: Outline, holes: list[Outline]) -> float:
    """Return the mean of the values (height, width) on and inside the line, without what is on and inside its holes."""
    x, y, width, height = cv2.boundingRect(line)
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [line], 0, 1, thickness=-1, offset=(-x, -y))
    for hole in holes:
        cv2.drawContours(mask, [hole], 0, 0, thickness=-1, offset=(-x, -y))
    return float(cv2.mean(np.ascontiguousarray(values[y : y + height, x : x + width]), mask)[0])


def box_around(line: Outline) -> tuple[int, int, int, int]:
    """Return x1, y1, x2, y2 of the upright box around all pixels of the line."""
    x, y, width, height = cv2.boundingRect(line)
    return x, y, x + width, y + height


def rotated_box_around(line: Outline) -> tuple[float, float, float, float, float]:
    """Return the smallest rotated box: centre x, y, width, height and angle in degrees in 0 ≤ angle < 90."""
    (x, y), (width, height), angle = cv2.minAreaRect(line)
    quarters, angle = divmod(angle, 90)  # which quarter OpenCV's angles lie in depends on its version
    return (x, y, height, width, angle) if quarters % 2 else (x, y, width, height, angle)
