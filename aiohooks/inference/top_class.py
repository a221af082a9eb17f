"""From class scores to the best class, in few steps: what most classifiers are asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.inference.explanation import Explanation
from aiohooks.inference.labels import LabelTable
from aiohooks.prediction import Prediction, Task
from aiohooks.prediction.assemble import assemble, numbers, read_only, whole_frame

_SUM_TOLERANCE = 2e-5
_OBJECT = numbers(0, 1)


def top_class(output: str, table: LabelTable) -> Callable[[dict[str, NDArray[Any]], dict[str, Any]], Prediction]:
    """Return the decoder of one label per picture, of equally likely ones the last.

    Args:
        output: name of the output with one score per class: logits, or probabilities.
        table: the labels.
    """
    labels, known = table.all, len(table.labels)

    def decode(outputs: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Prediction:
        size = meta["original_shape"][:2]
        logits = outputs[output].reshape(-1)
        if logits.dtype != np.float32:
            logits = logits.astype(np.float32)
        scores = read_only(probabilities(logits))
        best = len(scores) - 1 - int(scores[::-1].argmax())  # of equals the last, as Model API
        position = best - table.first
        explanation = Explanation.of(outputs)
        if 0 <= position < known and 0 <= scores[best] <= 1:
            return assemble(
                task=Task.CLASSIFICATION, size=size, labels=labels, boxes=whole_frame(size), scores=scores[best : best + 1],
                label_indices=numbers(position, position + 1), object_indices=_OBJECT, class_scores=scores,
                feature_vector=explanation.feature_vector, saliency_maps=explanation.saliency_maps,
            )  # fmt: skip
        table_then, positions = table.locate(np.array([best]))
        return Prediction.classification(
            size, table_then, scores[best : best + 1], positions, class_scores=scores, **explanation._asdict()
        )

    return decode


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of a vector, or the vector itself if it is one already (by Model API's rule: 0–1, sum 1 ± 2e-5)."""
    # The ufuncs' own methods: those of arrays reach them through Python, at twice the price.
    highest = np.maximum.reduce(logits)
    if (
        highest <= 1 + _SUM_TOLERANCE
        and np.minimum.reduce(logits) >= 0
        and abs(float(np.add.reduce(logits)) - 1) <= _SUM_TOLERANCE
    ):
        return logits
    powers: NDArray[np.float32] = np.subtract(logits, highest)
    np.exp(powers, out=powers)
    powers /= np.add.reduce(powers)
    return powers
