"""Arrays that a model is to be fitted on or asked about, checked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.errors import SpecError
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.batch import Batch, Doubles, products, rows_of

Numbers = ArrayLike | tuple[ArrayLike, ArrayLike | None] | tuple[ArrayLike, ArrayLike | None, ArrayLike | None]
"""Features, or features and logits; labels may follow, and are not looked at."""


def batch_of(
    what: str, given: Numbers, *, width: int | None = None, classes: int | None = None, last_layer: LastLayer | None
) -> Batch:
    """Return features as frames, with logits if they are given or the last layer is.

    Args:
        what: they are, for messages.
        given: N×D, or with N×C.
        width: D, None if any will do.
        classes: C, None if any will do or none are needed.
        last_layer: of the network, if it is known.

    Raises:
        SpecError: they do not fit together, or are not finite.
    """
    parts = given if isinstance(given, tuple) else (given, None)
    if len(parts) not in (2, 3):
        raise SpecError(f"{what}: give features, or (features, logits), not {len(parts)} arrays")
    features, logits = parts[:2]
    rows = rows_of(what, features, np.float32, width)
    if last_layer is not None and np.shape(last_layer.weights)[1:] != rows.shape[1:]:
        raise SpecError(
            f"last_layer: its weights are {np.shape(last_layer.weights)}, and features have {rows.shape[1]} numbers"
        )
    if logits is not None:
        return Batch(rows, rows_of(f"logits of {what}", logits, np.float64, classes, len(rows)))
    if last_layer is not None:
        return Batch(rows, through(last_layer, rows))
    if classes is not None:
        raise SpecError(f"{what}: give its logits too, as (features, logits), because the training pictures have them")
    return Batch(rows)


def labels_of(labels: ArrayLike | None, batch: Batch) -> NDArray[np.int64]:
    """Return N class indices: by default the largest logit's, and one class for all where there are no logits.

    Raises:
        SpecError: they are no N whole numbers.
    """
    if labels is None:
        if batch.rows is None:
            return np.zeros(len(batch), np.int64)
        largest: NDArray[np.int64] = batch.rows.argmax(axis=1).astype(np.int64)
        return largest
    given = np.asarray(labels)
    if given.shape != (len(batch),) or not np.issubdtype(given.dtype, np.integer):
        raise SpecError(f"labels: {len(batch)} whole numbers are needed, got {given.dtype} of shape {given.shape}")
    return given.astype(np.int64)


def groups_of(groups: ArrayLike | None, count: int) -> NDArray[np.int64] | None:
    """Return N numbers of groups, None if none are given.

    Raises:
        SpecError: they are no N whole numbers.
    """
    if groups is None:
        return None
    given = np.asarray(groups)
    if given.shape != (count,) or not np.issubdtype(given.dtype, np.integer):
        raise SpecError(f"groups: {count} whole numbers are needed, got {given.dtype} of shape {given.shape}")
    return given.astype(np.int64)


def through(layer: LastLayer, features: NDArray[np.float32]) -> Doubles:
    """Return the logits of features, N×C."""
    weights, bias = np.asarray(layer.weights, np.float32), np.asarray(layer.bias, np.float64)
    logits: Doubles = products(features, weights).astype(np.float64) + bias
    return logits


def class_names_of(names: Sequence[str], labels: NDArray[np.int64]) -> list[str]:
    """Return the names of the classes that labels are numbers of.

    Raises:
        SpecError: a label has none, or two have the same.
    """
    known = [str(name) for name in names]
    if isinstance(names, str) or len(set(known)) < len(known):
        raise SpecError(f"class_names: different texts are needed, got {names!r}")
    if labels.min() < 0 or labels.max() >= len(known):
        raise SpecError(
            f"class_names: labels go from {labels.min()} to {labels.max()}, and there are {len(known)} names of classes"
        )
    return known
