"""Annotations and maps drawn on a picture."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Annotation, Keypoint, Label, Polygon, Rectangle, Shape
from aiohooks.drawing.captions import Box, Caption, Layout, Line
from aiohooks.drawing.colors import RGB, label_colors
from aiohooks.shapes import bounds, pixels

Image = NDArray[np.uint8]

_FILL = 0.4
_NO_LABEL: RGB = (128, 128, 128)
_SUBPIXEL_BITS = 3
# By how hot a pixel is: how much of the picture is kept, and what is added to it.
_HEAT_STRENGTH = 0.7 * np.linspace(0, 1, 256)[:, None, None] ** 0.7
_HEAT_KEPT = np.rint(255 * (1 - _HEAT_STRENGTH)).repeat(3, axis=2).astype(np.uint8)
_HEAT_ADDED = np.rint(
    _HEAT_STRENGTH * cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, :, ::-1]
).astype(np.uint8)


def draw_annotations(
    image: Image,
    annotations: Sequence[Annotation],
    *,
    masks: NDArray[np.uint8] | None = None,
    label_map: NDArray[np.uint8] | None = None,
    heat_map: NDArray[np.float32] | NDArray[np.uint8] | None = None,
    labels: Sequence[Label] = (),
) -> Image:
    """Return a copy of a picture with what was found drawn on it; lines and text grow with the picture.

    Args:
        image: RGB, uint8, H×W×3.
        annotations: N objects. The labels of one that covers the whole picture are written in its corner.
        masks: uint8 (N, H, W), 1 inside the object; filled in place of the outlines.
        label_map: uint8 (H, W), 0 is background, i + 1 stands for ``labels[i]``; filled in place of the outlines, with a legend
            in place of captions.
        heat_map: float32 in 0–1 or uint8 in 0–255, (H, W); the hotter, the stronger.
        labels: the label table.
    """
    canvas = np.array(image, np.uint8, order="C")
    colors = label_colors([*labels, *(scored.label for annotation in annotations for scored in annotation.labels)])
    style = _Style.of(canvas, colors)
    if heat_map is not None:
        _blend_heat(canvas, heat_map)
    if label_map is not None:
        _blend_label_map(canvas, label_map, [colors[label] for label in labels])
    filled = label_map is None
    _draw_shapes(canvas, annotations, masks, style, filled=filled)
    legend = [] if label_map is None else [labels[i] for i in _present(label_map) if i < len(labels)]
    captioned = [a for a in annotations if a.labels and (filled or not isinstance(a.shape, Polygon))]
    _draw_captions(canvas, captioned, legend, style)
    return canvas


class _Style(NamedTuple):
    """Lengths in pixels that suit a picture, and the colours of labels."""

    thickness: int
    font_size: int
    colors: Mapping[Label, RGB]

    @classmethod
    def of(cls, canvas: Image, colors: Mapping[Label, RGB]) -> "_Style":
        side = float(np.sqrt(canvas.shape[0] * canvas.shape[1]))
        return cls(max(1, round(side / 320)), round(8.5 + side / 75), colors)


def _draw_shapes(
    canvas: Image, annotations: Sequence[Annotation], masks: NDArray[np.uint8] | None, style: _Style, *, filled: bool
) -> None:
    room = canvas.shape[:2]
    # Large ones first, so that small ones stay visible.
    order = sorted(range(len(annotations)), key=lambda i: _area(annotations[i].shape), reverse=True)
    for i in order:
        shape, labels = annotations[i].shape, annotations[i].labels
        color = style.colors[labels[0].label] if labels else _NO_LABEL
        if masks is not None:
            _blend_mask(canvas, masks[i], color, style.thickness)
        elif filled and isinstance(shape, Polygon):
            _blend_polygon(canvas, shape, color)
        if not (_covers(shape, room) or (masks is not None and isinstance(shape, Rectangle | Polygon))):
            _outline(canvas, shape, color, style.thickness)


def _draw_captions(canvas: Image, annotations: Sequence[Annotation], legend: Sequence[Label], style: _Style) -> None:
    height, width = canvas.shape[:2]
    layout = Layout((height, width))
    whole = [annotation for annotation in annotations if _covers(annotation.shape, (height, width))]
    local = [annotation for annotation in annotations if not _covers(annotation.shape, (height, width))]
    block = [line for annotation in whole for line in _lines(annotation, style)]
    block += [Line(label.name, "", style.colors[label]) for label in legend]
    if block:
        caption = Caption(block, style.font_size, (height, width))
        caption.draw(canvas, *layout.place(caption, (0, 0, width, height)))
    for annotation in local:
        if isinstance(annotation.shape, Keypoint):
            layout.reserve(_around(annotation.shape, style))
    for annotation in local:
        is_point = isinstance(annotation.shape, Keypoint)
        font_size = round(style.font_size * 0.85) if is_point else style.font_size
        caption = Caption(_lines(annotation, style), font_size, (height, width))
        caption.draw(canvas, *layout.place(caption, _around(annotation.shape, style), beside=is_point))


def _lines(annotation: Annotation, style: _Style) -> list[Line]:
    has_note = not isinstance(annotation.shape, Keypoint)
    return [
        Line(scored.name, f"{scored.probability:.0%}" if has_note else "", style.colors[scored.label])
        for scored in annotation.labels
    ]


def _covers(shape: Shape, room: tuple[int, ...]) -> bool:
    return isinstance(shape, Rectangle) and bounds(shape) == (0, 0, room[1], room[0])


def _around(shape: Shape, style: _Style) -> Box:
    x1, y1, x2, y2 = bounds(shape)
    margin = 3 * style.thickness + 1 if isinstance(shape, Keypoint) else style.thickness / 2
    return x1 - margin, y1 - margin, x2 + margin, y2 + margin


def _area(shape: Shape) -> float:
    x1, y1, x2, y2 = bounds(shape)
    return (x2 - x1) * (y2 - y1)


def _blend_heat(canvas: Image, heat_map: NDArray[np.float32] | NDArray[np.uint8]) -> None:
    heat = heat_map if heat_map.dtype == np.uint8 else cv2.convertScaleAbs(np.clip(heat_map, 0, 1), alpha=255)
    cv2.multiply(canvas, cv2.applyColorMap(heat, _HEAT_KEPT), dst=canvas, scale=1 / 255)
    cv2.add(canvas, cv2.applyColorMap(heat, _HEAT_ADDED), dst=canvas)


def _blend_label_map(canvas: Image, label_map: NDArray[np.uint8], colors: Sequence[RGB]) -> None:
    table = np.full((256, 1, 3), _NO_LABEL, np.uint8)
    table[1 : len(colors) + 1, 0] = np.array(colors, np.uint8).reshape(-1, 3)[:255]
    painted = cv2.applyColorMap(label_map, table)
    cv2.addWeighted(canvas, 1 - _FILL, painted, _FILL, 0, dst=painted)
    cv2.copyTo(painted, label_map, canvas)


def _present(label_map: NDArray[np.uint8]) -> list[int]:
    """Return the positions of the labels that occur."""
    counts = cv2.calcHist([label_map], [0], None, [256], [0, 256])
    return [int(value) - 1 for value in np.flatnonzero(counts) if value]


def _blend_mask(canvas: Image, mask: NDArray[np.uint8], color: RGB, thickness: int) -> None:
    x, y, width, height = cv2.boundingRect(mask)
    part = np.ascontiguousarray(mask[y : y + height, x : x + width])
    if part.size:
        region = canvas[y : y + height, x : x + width]
        _tint(region, part, color)
        edges, _ = cv2.findContours(part, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(
            canvas, [edge + np.array((x, y), np.int32) for edge in edges], True, color, thickness, cv2.LINE_AA
        )


def _blend_polygon(canvas: Image, polygon: Polygon, color: RGB) -> None:
    height, width = canvas.shape[:2]
    points = pixels(polygon)
    x1, y1 = np.clip(points.min(axis=0), 0, (width, height)).tolist()
    x2, y2 = np.clip(points.max(axis=0) + 1, 0, (width, height)).tolist()
    if x1 < x2 and y1 < y2:
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        cv2.fillPoly(mask, [points], 1, offset=(-x1, -y1))
        _tint(canvas[y1:y2, x1:x2], mask, color)


def _tint(region: Image, mask: NDArray[np.uint8], color: RGB) -> None:
    levels = np.arange(256)[:, None] * (1 - _FILL) + np.array(color) * _FILL
    cv2.copyTo(cv2.LUT(region, np.rint(levels).astype(np.uint8)[None]), mask, region)


def _outline(canvas: Image, shape: Shape, color: RGB, thickness: int) -> None:
    height, width = canvas.shape[:2]
    match shape:
        case Keypoint():
            _point(canvas, shape, color, thickness)
        case Rectangle():
            # Kept on the picture, so that the side of an object at its edge is seen.
            inset = thickness // 2
            x1, y1, x2, y2 = (
                np.rint(np.clip(bounds(shape), inset, np.array((width, height) * 2) - 1 - inset)).astype(int).tolist()
            )
            cv2.rectangle(canvas, (x1, y1), (x2, y2), color, thickness)
        case _:
            points = pixels(shape, parts=1 << _SUBPIXEL_BITS)
            cv2.polylines(canvas, [points], True, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _point(canvas: Image, point: Keypoint, color: RGB, thickness: int) -> None:
    """Draw a dot with a white rim; a ring where the point is hidden."""
    center = pixels(point)[0].tolist()
    radius = 2 * thickness + 1
    if point.is_visible:
        cv2.circle(canvas, center, radius, color, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(canvas, center, radius, (255, 255, 255), max(1, thickness // 2), cv2.LINE_AA)
    else:
        cv2.circle(canvas, center, radius, color, thickness, cv2.LINE_AA)
