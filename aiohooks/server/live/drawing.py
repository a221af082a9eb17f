"""Small pictures for browsers, drawn and encoded in a thread."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction
from aiohooks.server.live.shrinking import shrunk

LONGER_SIDE = 640
"""Of a picture that is shown as it is inferred, in pixels."""

COLLECTED_SIDE = 192
"""Of a picture that a hook has collected."""

QUALITY = 72


class Drawn(NamedTuple):
    """A picture that is ready to be sent.

    Attributes:
        message: 4 bytes, the length N of the head, big-endian; N bytes, the head in JSON; a JPEG.
        seconds: of a processor that it took.
    """

    message: bytes
    seconds: float


def draw(deployment: str, frame: Frame, prediction: Prediction) -> Drawn:
    """Return a frame with what was seen in it. Blocks for some milliseconds.

    Args:
        deployment: that saw it.
        frame: of which nobody else writes to the pixels.
        prediction: of the frame.
    """
    started = time.thread_time()
    image = small(frame.image, LONGER_SIDE)
    seen = prediction if image.shape[:2] == tuple(prediction.size) else shrunk(prediction, image.shape[:2])
    picture = encoded(seen.draw(image))
    head = msgspec.json.encode(_head(deployment, frame, prediction))
    return Drawn(len(head).to_bytes(4, "big") + head + picture, time.thread_time() - started)


def small_copy(path: Path) -> tuple[bytes, float]:
    """Return a picture's file as a small JPEG, and the seconds of a processor that it took. Blocks.

    Raises:
        FrameError: it is not a picture that can be read, or a large one.
        OSError: it cannot be read.
    """
    import cv2  # heavy: loaded when first used

    started = time.thread_time()
    # OpenCV halves JPEGs as it reads them, which takes a fraction of the time.
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_REDUCED_COLOR_2)
    if image is None:
        raise FrameError(f"{path}: it is not a picture that can be read")
    picture = encoded(small(np.asarray(image[..., ::-1], np.uint8), COLLECTED_SIDE))
    return picture, time.thread_time() - started


def small(image: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    """Return a picture, or a copy of it that is no longer than this on either side. Blocks.

    Args:
        image: RGB, H×W×3.
        longer_side: in pixels.
    """
    import cv2  # heavy: loaded when first used

    height, width = image.shape[:2]
    scale = min(1.0, longer_side / max(height, width))
    if scale == 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Twice as quick as averages by areas, and as good to look at when it halves.
    way = cv2.INTER_AREA if scale < 0.4 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def encoded(image: NDArray[np.uint8]) -> bytes:
    """Return a picture, RGB of H×W×3, as a JPEG. Blocks."""
    import cv2  # heavy: loaded when first used

    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


def _head(deployment: str, frame: Frame, prediction: Prediction) -> dict[str, Any]:
    top = prediction.top
    return {
        "deployment": deployment,
        "frame": frame.name or f"frame {frame.index}",
        "labels": sorted({scored.name for annotation in prediction.annotations for scored in annotation.labels})[:12],
        "objects": len(prediction),
        "top": None if top is None else [top.name, round(top.probability, 3)],
        "ood": None if prediction.ood_score is None else round(prediction.ood_score, 4),
    }
