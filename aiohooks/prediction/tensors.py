"""Predictions as named arrays, as model servers send them, and back."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.errors import SpecError
from aiohooks.prediction.prediction import Prediction
from aiohooks.prediction.task import Task

ALWAYS = (
    "boxes",
    "scores",
    "label_indices",
    "label_names",
    "object_indices",
    "picture_indices",
    "size",
    "task",
    "prediction",
)
"""Arrays that every prediction has: of N objects with M labels in B pictures

- ``boxes`` float32 (N, 4) in pixels, ``scores`` float32 (M,), ``label_indices`` int32 (M,), ``label_names`` bytes (M,);
- ``object_indices`` int32 (M,), the object of each label; ``picture_indices`` int32 (N,), the picture of each object;
- ``size`` int32 (B, 2), height and width; ``task`` bytes (B,), see `Task`; ``prediction`` bytes (B,), Geti's JSON.
"""

OF_OBJECTS = ("masks", "rotated_boxes", "keypoints")
"""Arrays with a row for each object, where the model gives them; see `Prediction`."""

OUTLINES = ("polygons", "polygon_lengths")
"""float32 (K, 2), the points of all outlines, and int32 (N,), how many of them are an object's; -1 for one without."""

OF_PICTURES = ("class_scores", "feature_vector", "label_map", "heat_map", "saliency_maps")
"""Arrays with one entry for each picture, where the model gives them; see `Prediction`."""

OOD_SCORE = "ood_score"
"""float64 (B,), where a monitor gives it."""

NAMES = (*ALWAYS, *OF_OBJECTS, *OUTLINES, *OF_PICTURES, OOD_SCORE)
"""All of them."""

LARGE = frozenset({"masks", "label_map", "heat_map", "saliency_maps"})
"""Those that have about as many values as the picture has pixels: only who asks for them gets them."""


def to_tensors(
    predictions: Sequence[Prediction], names: Collection[str] = (), *, with_large: bool = False
) -> dict[str, NDArray[Any]]:
    """Return the arrays of one prediction or several, for pictures in this order.

    Args:
        predictions: at least one.
        names: of the wanted arrays; left out, all that the predictions have, but for `LARGE` ones.
        with_large: these too.

    Raises:
        SpecError: there is no such array, or these predictions have none of this name, or of different shapes.
    """
    if names:
        return {name: _array(name, predictions) for name in names}
    optional = [
        name
        for name in (*OF_OBJECTS, *OF_PICTURES, OOD_SCORE)
        if (with_large or name not in LARGE) and _has(name, predictions)
    ]
    outlines = OUTLINES if _has("polygons", predictions) else ()
    return {name: _array(name, predictions) for name in (*ALWAYS, *optional, *outlines)}


def from_tensors(arrays: Mapping[str, NDArray[Any]], *, task: Task, labels: Sequence[Label]) -> Prediction:
    """Return the prediction of one picture from its arrays.

    Args:
        arrays: as of `to_tensors`; ``boxes``, ``scores``, ``label_indices``, ``object_indices`` and ``size`` must be there.
        task: what the model does.
        labels: its label table.

    Raises:
        SpecError: an array is missing, or is not what it should be.
    """
    try:
        objects: dict[str, Any] = {name: arrays[name] for name in OF_OBJECTS if name in arrays}
        pictures: dict[str, Any] = {name: arrays[name][0] for name in OF_PICTURES if name in arrays}
        outlines = _outlines(arrays["polygons"], arrays["polygon_lengths"]) if "polygons" in arrays else None
        height, width = arrays["size"][0].tolist()
        return Prediction(
            task=task,
            size=(height, width),
            labels=tuple(labels),
            boxes=arrays["boxes"],
            scores=arrays["scores"],
            label_indices=arrays["label_indices"],
            object_indices=arrays["object_indices"],
            polygons=outlines,
            ood_score=float(arrays[OOD_SCORE][0]) if OOD_SCORE in arrays else None,
            **objects,
            **pictures,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise SpecError(f"these arrays are not a prediction: {error}") from error


def _has(name: str, predictions: Sequence[Prediction]) -> bool:
    return all(getattr(prediction, name) is not None for prediction in predictions)


def _array(name: str, predictions: Sequence[Prediction]) -> NDArray[Any]:
    if name not in NAMES:
        raise SpecError(f"there is no output {name[:40]!r}; there are: {', '.join(NAMES)}")
    compute = _COMPUTED.get(name)
    if compute is not None:
        return compute(predictions)
    whose = "polygons" if name in OUTLINES else name
    if not _has(whose, predictions):
        raise SpecError("no monitor gives an ood_score here" if name == OOD_SCORE else f"the model gives no {name}")
    if name == OOD_SCORE:
        return np.array([prediction.ood_score for prediction in predictions], np.float64)
    found = [getattr(prediction, name) for prediction in predictions]
    join = np.stack if name in OF_PICTURES else np.concatenate
    try:
        return join(found) if len(found) > 1 else (found[0][None] if name in OF_PICTURES else found[0])
    except ValueError:
        raise SpecError(f"{name}: the pictures are of different sizes; send one at a time") from None


def _object_indices(predictions: Sequence[Prediction]) -> NDArray[np.int32]:
    starts = np.cumsum([0, *[len(prediction) for prediction in predictions[:-1]]], dtype=np.int32)
    shifted = [prediction.object_indices + start for prediction, start in zip(predictions, starts, strict=True)]
    return np.concatenate(shifted)


def _picture_indices(predictions: Sequence[Prediction]) -> NDArray[np.int32]:
    return np.repeat(np.arange(len(predictions), dtype=np.int32), [len(prediction) for prediction in predictions])


def _lengths(predictions: Sequence[Prediction]) -> NDArray[np.int32]:
    return np.array([-1 if outline is None else len(outline) for outline in _all_outlines(predictions)], np.int32)


def _points(predictions: Sequence[Prediction]) -> NDArray[np.float32]:
    outlines = [outline for outline in _all_outlines(predictions) if outline is not None]
    return np.concatenate(outlines) if outlines else np.empty((0, 2), np.float32)


def _all_outlines(predictions: Sequence[Prediction]) -> list[NDArray[np.float32] | None]:
    if not _has("polygons", predictions):
        raise SpecError("the model gives no polygons")
    return [outline for prediction in predictions for outline in prediction.polygons or ()]


def _outlines(points: NDArray[np.float32], lengths: NDArray[np.int32]) -> tuple[NDArray[np.float32] | None, ...]:
    outlines, start = [], 0
    for length in lengths.tolist():
        outlines.append(None if length < 0 else points[start : start + length])
        start += max(length, 0)
    return tuple(outlines)


def _bytes(values: Sequence[bytes]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


_COMPUTED: Mapping[str, Callable[[Sequence[Prediction]], NDArray[Any]]] = {
    "boxes": lambda predictions: np.concatenate([prediction.boxes for prediction in predictions]),
    "scores": lambda predictions: np.concatenate([prediction.scores for prediction in predictions]),
    "label_indices": lambda predictions: np.concatenate([prediction.label_indices for prediction in predictions]),
    "label_names": lambda predictions: _bytes(
        [name.encode() for prediction in predictions for name in prediction.label_names]
    ),
    "object_indices": _object_indices,
    "picture_indices": _picture_indices,
    "size": lambda predictions: np.array([prediction.size for prediction in predictions], np.int32),
    "task": lambda predictions: _bytes([prediction.task.encode() for prediction in predictions]),
    "prediction": lambda predictions: _bytes([msgspec.json.encode(prediction.to_geti()) for prediction in predictions]),
    "polygons": _points,
    "polygon_lengths": _lengths,
}
