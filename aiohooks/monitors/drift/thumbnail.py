"""Small pictures of frames, to show as examples."""

import numpy as np
from numpy.typing import NDArray

SIDE = 112
"""Pixels of the longer side."""

QUALITY = 80


def small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB pixels of at most `SIDE` a side, which are its own. Some 2 ms for a picture of full HD."""
    import cv2  # heavy: loaded when first used

    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return image.copy()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg_of(thumbnail: NDArray[np.uint8]) -> bytes:
    """Return small RGB pixels as a JPEG, of some 3 KB. Blocks."""
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(thumbnail, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if done else b""
