"""What a user writes for a model whose outputs no wrapper knows."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from aiohooks.frame import Frame
from aiohooks.prediction import Prediction


class Decoder(Protocol):
    """Turns the outputs of a model into a prediction.

    It may be called from worker threads, several at a time. `Prediction.detection` and `Prediction.classification` do
    most of the work:

        def decode(outputs, frame):
            boxes = outputs["boxes"][0] * [frame.width, frame.height, frame.width, frame.height]
            return Prediction.detection((frame.height, frame.width), labels, boxes, outputs["scores"][0], outputs["classes"][0])
    """

    def __call__(self, outputs: Mapping[str, NDArray[Any]], frame: Frame) -> Prediction:
        """Decode one inference.

        Args:
            outputs: the model's outputs by name, with their batch dimension. They may be changed in place.
            frame: the picture; boxes and points of the prediction are in its pixels.
        """
        ...
