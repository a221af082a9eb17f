"""MediaPipe's SSD MobileNetV2 for 23 classes of Open Images, and a hand-written Decoder for it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from proofs.fetch import from_npm

from aiohooks.annotation import Label
from aiohooks.demo import cache
from aiohooks.demo.assets import Asset, Package
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction, Task

DOG = Asset(
    Package("darknet", "0.0.0+git20180914", size=3277612),
    "./usr/share/darknet/data/dog.jpg",
    size=163759,
    sha256="5a9522051c3cec2bbd2f6323fccba32e8fbf3ddcc2b3e2fd46b04c720bc6f866",
)
SSD = Asset(
    Package("@mediapipe/objectron", "0.4.1675468480", size=32667233),
    "package/objectron_solution_packed_assets.data",
    size=9987912,
    sha256="470986ca5df183f41698da6de74b027d838fe289d77b5ab094497d350bee664e",
)
_LABEL_BYTES = 184

PARAMETERS = {"mean_values": [127.5] * 3, "scale_values": [127.5] * 3, "resize_type": "standard"}
"""Model API's names for what the detector wants done to its pictures."""

SIZE = 300
STRIDES = (16, 32, 64, 128, 256, 512)
BOX_SCALES = np.array([10, 10, 5, 5], np.float32)


def fetch() -> tuple[Path, list[str]]:
    """Return the detector's path, fetched once, and the names of its classes without the background."""
    packed = from_npm(SSD).read_bytes()
    path = SSD.path.with_name("ssd_mobilenetv2_oidv4.tflite")
    cache.put(path, packed[_LABEL_BYTES:])
    return path, packed[:_LABEL_BYTES].decode().splitlines()[1:]


def anchors() -> NDArray[np.float32]:
    """Return the 1,917 anchors, (N, 4): centre x, centre y, width, height, as fractions of the input's size.

    W. Liu et al., "SSD: Single Shot MultiBox Detector" (2016), equation 4, with MediaPipe's exception: the first
    layer has three anchors to a cell, the smallest of scale 0.1.
    """
    scales = [*np.linspace(0.2, 0.95, len(STRIDES)).tolist(), 1.0]
    rows: list[tuple[float, float, float, float]] = []
    for layer, stride in enumerate(STRIDES):
        scale, next_scale = scales[layer : layer + 2]
        if layer == 0:
            shapes = [(1.0, 0.1), (2.0, scale), (0.5, scale)]
        else:
            shapes = [(ratio, scale) for ratio in (1.0, 2.0, 0.5, 3.0, 0.3333)] + [(1.0, (scale * next_scale) ** 0.5)]
        cells = -(-SIZE // stride)
        centres = [((x + 0.5) / cells, (y + 0.5) / cells) for y in range(cells) for x in range(cells)]
        rows += [(*centre, s * r**0.5, s / r**0.5) for centre in centres for r, s in shapes]
    return np.array(rows, np.float32)


class SsdDecoder:
    """Turns box offsets and class logits into detections."""

    def __init__(self, labels: Sequence[str], *, min_score: float = 0.35, max_overlap: float = 0.5) -> None:
        self.labels = tuple(Label(name=label) for label in labels)
        self.min_score = min_score
        self.max_overlap = max_overlap
        self._min_logit = math.log(min_score / (1 - min_score))
        self._anchors = anchors()

    def __call__(self, outputs: Mapping[str, NDArray[Any]], frame: Frame) -> Prediction:
        logits = outputs["raw_outputs/class_predictions"][0, :, 1:]  # column 0 is the background
        # Few of the 1,917 anchors see anything: the rest is left alone as early as possible.
        found = np.unique(np.flatnonzero(logits > self._min_logit) // logits.shape[1])
        size = frame.height, frame.width
        if not len(found):
            return Prediction.empty(Task.DETECTION, size, self.labels)
        logits = logits[found]
        classes = logits.argmax(axis=1)
        scores = 1 / (1 + np.exp(-logits.max(axis=1)))
        offsets = outputs["raw_outputs/box_encodings"][0, found] / BOX_SCALES  # y, x, height, width
        centre_x, centre_y, width, height = self._anchors[found].T
        y, x, h, w = offsets.T
        w, h = np.exp(w) * width * frame.width, np.exp(h) * height * frame.height
        left = (x * width + centre_x) * frame.width - w / 2
        top = (y * height + centre_y) * frame.height - h / 2
        boxes = np.stack([left, top, w, h], axis=1)
        kept = np.array(
            cv2.dnn.NMSBoxesBatched(
                boxes.tolist(), scores.tolist(), classes.tolist(), self.min_score, self.max_overlap
            ),
            np.intp,
        )
        boxes = boxes[kept]
        boxes[:, 2:] += boxes[:, :2]
        return Prediction.detection(size, self.labels, boxes, scores[kept], classes[kept])
