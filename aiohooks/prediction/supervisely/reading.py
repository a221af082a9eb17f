"""Predictions out of the JSON form of Supervisely's served models; `writing` says what it is."""

from collections.abc import Iterable, Iterator, Mapping
from math import degrees
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import (
    Annotation,
    Keypoint,
    Label,
    Point,
    Polygon,
    Rectangle,
    RotatedRectangle,
    ScoredLabel,
    Shape,
)
from aiohooks.errors import SpecError
from aiohooks.prediction.json_fields import get, list_at, number, object_at, real_at, text_at
from aiohooks.prediction.supervisely.bitmap import from_bitmap
from aiohooks.prediction.supervisely.writing import CONFIDENCE

MAX_MASK_BYTES = 1024 * 1024 * 1024
"""Masks of one prediction are refused beyond this: each takes a byte for every pixel of the frame."""

_BITMAPS = ("bitmap", "alpha_mask")
_GEOMETRIES = ("rectangle", "polygon", "oriented_bbox", "graph", "point", *_BITMAPS)

Tags = Mapping[str, float | str | None]


class Read(NamedTuple):
    """What was read.

    Attributes:
        annotations: one for each object; labels of the picture are one over all of it.
        size: height and width of the frame in pixels.
        masks: uint8 (height, width), 1 inside, of those objects that have one, by their position.
        ood_score: of the frame, as in ``Prediction``.
    """

    annotations: list[Annotation]
    size: tuple[int, int]
    masks: Mapping[int, NDArray[np.uint8]]
    ood_score: float | None = None


def read(data: object, *, labels: Iterable[Label] = (), nodes: Mapping[str, str] | None = None) -> Read:
    """Return what a prediction in Supervisely's form holds.

    Unknown keys, holes of polygons and tags that are no labels are ignored. An object without a tag of its score has the score 1.

    Args:
        data: the decoded JSON: a prediction, or the annotation in it.
        labels: the label table; further tags of an object that are not in it are ignored.
        nodes: names of the nodes of graphs, by their keys.

    Raises:
        SpecError: ``data`` is not in this form; the message starts with the path to the spot.
    """
    annotation, path = _annotation(data)
    size = _size(annotation, path)
    names = {label.name for label in labels}
    found: list[Annotation] = []
    masks: dict[int, NDArray[np.uint8]] = {}
    for index, each in enumerate(list_at(annotation.get("objects") or [], f"{path}objects")):
        place = f"{path}objects[{index}]"
        item = object_at(each, place)
        name, tags, kind = text_at(item, "classTitle", place), _tags(item, place), _geometry_type(item, place)
        if kind == "graph":
            found += _points_of_graph(item, place, tags, nodes or {})
            continue
        if kind in _BITMAPS:
            if (len(masks) + 1) * size[0] * size[1] > MAX_MASK_BYTES:
                raise SpecError(f"{place}: the masks of this prediction would take more than {MAX_MASK_BYTES:,} bytes")
            masks[len(found)] = mask = from_bitmap(get(item, kind, place), size, f"{place}.{kind}")
            shape = _outline(mask)
        else:
            shape = _shape(kind, item, place)
        more = [tag for tag in tags if tag in names and tag not in CONFIDENCE and tag != name]
        found.append(_scored(shape, {name: _confidence(tags)} | {tag: _score(tags[tag]) for tag in more}))
    of_picture = _labels_of_picture(_tags(annotation, path))
    about_picture = {name: score for name, score in of_picture if not found or name in names}
    if about_picture:
        height, width = size
        found.append(_scored(Rectangle(0, 0, width, height), about_picture))
    return Read(found, size, masks, _ood_score(data))


def boxes_around(masks: Mapping[int, NDArray[np.uint8]], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the boxes, (N, 4), with those of objects that have a mask around it."""
    if not masks:
        return boxes
    import cv2

    tight = boxes.copy()
    for index, mask in masks.items():
        x, y, width, height = cv2.boundingRect(mask)
        tight[index] = x, y, x + width, y + height
    return tight


def stacked(
    masks: Mapping[int, NDArray[np.uint8]], boxes: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the masks of all N objects, (N, height, width); one without a mask fills its box."""
    rows = np.zeros((len(boxes), *size), np.uint8)
    for index, (x1, y1, x2, y2) in enumerate(np.rint(boxes).astype(int).tolist()):
        if index in masks:
            rows[index] = masks[index]
        else:
            rows[index, max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
    return rows


def merged(
    masks: Mapping[int, NDArray[np.uint8]], label_of: Mapping[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the label map, (height, width), of masks with these labels, by their position in the label table."""
    label_map = np.zeros(size, np.uint8)
    for index, mask in masks.items():
        if label_of[index] < 255:  # a label map has no more
            label_map[mask != 0] = label_of[index] + 1
    return label_map


def _annotation(data: object) -> tuple[Mapping[str, Any], str]:
    """Return the annotation and the start of the paths into it."""
    whole = object_at(data, "")
    for key in ("annotation", "annotation_json"):
        if key in whole:
            return object_at(whole[key], key), f"{key}."
    return whole, ""


def _ood_score(data: object) -> float | None:
    """Return the score beside the annotation, where other servers have whatever they like."""
    beside = object_at(data, "").get("data")
    if not isinstance(beside, Mapping) or beside.get("ood_score") is None:
        return None
    score = real_at(beside, "ood_score", "data")
    if 0 <= score <= 1:
        return score
    raise SpecError(f"data.ood_score: expected a number from 0 to 1, got {score:g}")


def _size(annotation: Mapping[str, Any], path: str) -> tuple[int, int]:
    size = object_at(get(annotation, "size", path.removesuffix(".")), f"{path}size")
    height, width = (round(real_at(size, side, f"{path}size")) for side in ("height", "width"))
    if height < 1 or width < 1:
        raise SpecError(f"{path}size: expected a height and width of at least 1, got {height} and {width}")
    return height, width


def _geometry_type(item: Mapping[str, Any], path: str) -> str:
    kind = item.get("geometryType") or item.get("shape")
    if kind in _GEOMETRIES:
        return str(kind)
    known = ", ".join(_GEOMETRIES)
    raise SpecError(f"{path}.geometryType: {kind!r} is not a geometry that can be read; these can: {known}")


def _tags(item: Mapping[str, Any], path: str) -> Tags:
    tags: dict[str, float | str | None] = {}
    where = f"{path.removesuffix('.')}.tags".removeprefix(".")
    for index, each in enumerate(list_at(item.get("tags") or [], where)):
        tag = object_at(each, f"{where}[{index}]")
        value = tag.get("value")
        is_text = value is None or isinstance(value, str)
        tags[text_at(tag, "name", f"{where}[{index}]")] = value if is_text else number(value, f"{where}[{index}].value")
    return tags


def _confidence(tags: Tags) -> float:
    return next((_score(tags[name]) for name in CONFIDENCE if isinstance(tags.get(name), float)), 1.0)


def _score(value: float | str | None) -> float:
    return min(max(value, 0.0), 1.0) if isinstance(value, float) else 1.0


def _labels_of_picture(tags: Tags) -> Iterator[tuple[str, float]]:
    """Yield labels and scores: a tag without a value or with a score is a label, of one with a text the text is."""
    for name, value in tags.items():
        if isinstance(value, str):
            yield value, _confidence(tags)
        elif name not in CONFIDENCE:
            yield name, _score(value)


def _scored(shape: Shape, scores: Mapping[str, float]) -> Annotation:
    return Annotation(shape, tuple(ScoredLabel(Label(name=name), score) for name, score in scores.items()))


def _shape(kind: str, item: Mapping[str, Any], path: str) -> Shape:
    match kind:
        case "oriented_bbox":
            (left, top), (right, bottom) = _ends(get(item, "points", path), f"{path}.points")
            angle, right, bottom = degrees(real_at(item, "angle", path)), right + 1, bottom + 1
            return RotatedRectangle(angle, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        case "rectangle":
            (left, top), (right, bottom) = _ends(_exterior(item, path), f"{path}.points.exterior")
            return Rectangle(left, top, right + 1 - left, bottom + 1 - top)
        case "polygon":
            points = _points(_exterior(item, path), f"{path}.points.exterior", at_least=1)
            return Polygon(tuple(Point(x, y) for x, y in points))
    return Keypoint(*_points(_exterior(item, path), f"{path}.points.exterior", at_least=1)[0])


def _points_of_graph(item: Mapping[str, Any], path: str, tags: Tags, names: Mapping[str, str]) -> Iterator[Annotation]:
    for key, each in object_at(get(item, "nodes", path), f"{path}.nodes").items():
        node, place = object_at(each, f"{path}.nodes.{key}"), f"{path}.nodes.{key}"
        name = names.get(key, key)
        [(x, y)] = _points([get(node, "loc", place)], f"{place}.loc", at_least=1)
        score = _score(tags[name]) if isinstance(tags.get(name), float) else _confidence(tags)
        yield _scored(Keypoint(x, y, is_visible=not node.get("disabled")), {name: score})


def _exterior(item: Mapping[str, Any], path: str) -> object:
    return get(object_at(get(item, "points", path), f"{path}.points"), "exterior", f"{path}.points")


def _ends(data: object, path: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the corners with the smallest and with the largest coordinates."""
    points = _points(data, path, at_least=2)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (min(xs), min(ys)), (max(xs), max(ys))


def _points(data: object, path: str, *, at_least: int) -> list[tuple[float, float]]:
    points = []
    for index, each in enumerate(list_at(data, path)):
        pair = list_at(each, f"{path}[{index}]")
        if len(pair) != 2:
            raise SpecError(f"{path}[{index}]: expected x and y, got {len(pair)} values")
        points.append((number(pair[0], f"{path}[{index}][0]"), number(pair[1], f"{path}[{index}][1]")))
    if len(points) < at_least:
        raise SpecError(f"{path}: expected at least {at_least} points, got {len(points)}")
    return points


def _outline(mask: NDArray[np.uint8]) -> Shape:
    import cv2

    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return Rectangle(0, 0, 0, 0)
    return Polygon(tuple(Point(x, y) for x, y in max(outlines, key=cv2.contourArea).reshape(-1, 2).tolist()))
