"""Frames and predictions that need no model."""

import numpy as np

from aiohooks.annotation import Label
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction

LABELS = (Label(name="cat"), Label(name="dog"))


def frame(index: int = 0, *, size: tuple[int, int] = (4, 4)) -> Frame:
    return Frame(np.full((*size, 3), index % 256, np.uint8), name=f"frame {index}", index=index, owned=True)


def prediction(score: float = 0.9, label: int = 0) -> Prediction:
    return Prediction.classification((4, 4), LABELS, scores=[score], label_indices=[label])
