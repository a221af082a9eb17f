"""Arrays as a prediction keeps them: checked, read-only, converted from what users pass."""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The arrays that a prediction may have: types and lengths, -1 for any, N for objects, H and W for the frame.
OPTIONAL: dict[str, tuple[tuple[type[np.generic], ...], tuple[int | str, ...]]] = {
    "masks": ((np.uint8,), ("N", "H", "W")),
    "rotated_boxes": ((np.float32,), ("N", 5)),
    "keypoints": ((np.float32,), ("N", 3)),
    "label_map": ((np.uint8,), ("H", "W")),
    "heat_map": ((np.float32, np.uint8), ("H", "W")),
    "class_scores": ((np.float32,), (-1,)),
    "feature_vector": ((np.float32,), (-1,)),
    "saliency_maps": ((np.uint8,), (-1, -1, -1)),
}

_Scalar = TypeVar("_Scalar", bound=np.generic)

# A softmax in float16 overshoots 1 by less than this; logits and percentages by more.
_SCORE_TOLERANCE = 1e-3


def length(array: object) -> int:
    """Return the size of the first dimension, 0 for what is not an array of at least one dimension."""
    return array.shape[0] if isinstance(array, np.ndarray) and array.ndim else 0


def checked(field: str, array: Any, dtypes: tuple[type[np.generic], ...], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a read-only view of an array of one of these types and of this shape, -1 standing for any length.

    Raises:
        ValueError: it is of another type or shape.
    """
    if not isinstance(array, np.ndarray):
        found = type(array).__name__
    elif array.dtype.type in dtypes and (array.shape == shape or _matches(array.shape, shape)):
        view = array.view()
        view.setflags(write=False)
        return view
    else:
        found = f"{array.dtype} of shape {array.shape}"
    lengths = ", ".join("any" if length < 0 else str(length) for length in shape)
    types = " or ".join(dtype.__name__ for dtype in dtypes)
    raise ValueError(f"{field}: expected {types} of shape ({lengths}{',' * (len(shape) == 1)}), got {found}")


def checked_optional(field: str, array: object, count: int, size: tuple[int, int]) -> NDArray[Any]:
    """Return a read-only view of one of the ``OPTIONAL`` arrays of ``count`` objects in a frame of this height and width.

    Raises:
        ValueError: it is of another type or shape, or only a part of a row is NaN.
    """
    dtypes, lengths = OPTIONAL[field]
    known = {"N": count, "H": size[0], "W": size[1]}
    shape = tuple(known[length] if isinstance(length, str) else length for length in lengths)
    view = checked(field, array, dtypes, shape)
    if field in ("rotated_boxes", "keypoints"):
        usable = np.isfinite(view).all(axis=1) | np.isnan(view).all(axis=1)
        if not usable.all():
            row = int(usable.argmin())
            raise ValueError(f"{field}: row {row} is neither finite nor all NaN: {view[row].tolist()}")
    return view


def _matches(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(found) == len(shape) and all(want in (-1, length) for want, length in zip(shape, found, strict=True))


def checked_polygons(polygons: object, count: int) -> tuple[NDArray[np.float32] | None, ...]:
    """Return the outlines of ``count`` objects, read-only.

    Raises:
        ValueError: there are more or fewer, or one is neither None nor finite float32 of shape (K, 2) with K ≥ 1.
    """
    if not isinstance(polygons, list | tuple) or len(polygons) != count:
        found = len(polygons) if isinstance(polygons, list | tuple) else type(polygons).__name__
        raise ValueError(f"polygons: expected a tuple of {count}, one for each object, got {found}")
    outlines: list[NDArray[np.float32] | None] = []
    for i, polygon in enumerate(polygons):
        if polygon is None:
            outlines.append(None)
            continue
        outline = checked(f"polygons[{i}]", polygon, (np.float32,), (max(length(polygon), 1), 2))
        if not math.isfinite(np.vdot(outline, outline)):
            raise ValueError(f"polygons[{i}]: holds points that are not finite")
        outlines.append(outline)
    return tuple(outlines)


def check_values(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
    """Check that boxes are finite (their squares, too) and scores in 0–1.

    Raises:
        ValueError: they are not.
    """
    # One product tells, since NaN and infinity stay what they are; on few boxes it takes a third of np.isfinite(boxes).all().
    if not math.isfinite(np.vdot(boxes, boxes)):
        row = int(np.abs(boxes).max(axis=1).argmax())  # NaN is the largest
        raise ValueError(f"boxes: row {row} is no place in a picture: {boxes[row].tolist()}")
    for score in scores.tolist():
        if not -_SCORE_TOLERANCE <= score <= 1 + _SCORE_TOLERANCE:
            raise ValueError(
                f"scores: expected 0–1, got {score:g}; apply softmax or sigmoid to logits, divide percentages by 100"
            )


def check_indices(field: str, indices: NDArray[np.int32], count: int, of_what: str) -> None:
    """Check that indices are in 0 … count - 1.

    Raises:
        ValueError: one is not.
    """
    values = indices.tolist()
    if values and (min(values) < 0 or max(values) >= count):
        wrong = next(value for value in values if not 0 <= value < count)
        raise ValueError(f"{field}: {wrong} is out of range, there are {count} {of_what}")


def clipped(boxes: ArrayLike, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return boxes, (N, 4) of x1, y1, x2, y2, cut off at the edges of a picture of this height and width.

    Raises:
        ValueError: they have another shape, or a box ends before it starts.
    """
    found = np.asarray(boxes, np.float32)
    if not found.size:
        found = found.reshape(0, 4)
    if found.ndim != 2 or found.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (N, 4) of x1, y1, x2, y2, got {found.shape}")
    turned = found[:, 2:] < found[:, :2]
    if np.count_nonzero(turned):
        row = int(np.flatnonzero(turned.any(axis=1))[0])
        raise ValueError(f"boxes: row {row} ends before it starts, expected x1, y1, x2, y2, got {found[row].tolist()}")
    inside = np.maximum(found, 0)
    return np.minimum(inside, np.array((size[1], size[0]) * 2, np.float32), out=inside)


def copied(values: ArrayLike | None, dtype: type[_Scalar], *, flat: bool = False) -> NDArray[_Scalar] | None:
    """Return a copy of this type, in one dimension if ``flat``; None stays None."""
    if values is None:
        return None
    copy = np.array(values, dtype)
    return copy.reshape(-1) if flat else copy


def only(label_map: NDArray[np.uint8], wanted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a label map in which the pixels of unwanted labels have become background, 0."""
    kept = np.zeros(256, np.uint8)
    values = np.flatnonzero(wanted[:255]) + 1
    kept[values] = values
    return kept[label_map]
