"""A frame that has its picture file and decodes it when somebody asks for the pixels."""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import FrameError
from aiohooks.frame import Frame


def stored_frame(
    picture: bytes, *, height: int, width: int, name: str, index: int, timestamp: datetime, was_encoded: bool
) -> Frame:
    """Return a frame of a picture file; ``image`` decodes it, which takes milliseconds, and keeps the pixels.

    Args:
        picture: content of the file.
        height: of the picture in pixels.
        width: of the picture in pixels.
        name: of the frame.
        index: of the frame.
        timestamp: of the frame.
        was_encoded: whether the frame is to have the file as ``encoded``.
    """
    frame = object.__new__(_StoredFrame)
    fields: dict[str, Any] = {
        "name": name, "index": index, "timestamp": timestamp, "encoded": picture if was_encoded else None,
        "context": None, "owned": True, "_picture": picture, "_size": (height, width), "_pixels": None,
    }  # fmt: skip
    for field, value in fields.items():
        object.__setattr__(frame, field, value)
    return frame


class _StoredFrame(Frame):
    """Made by `stored_frame` alone: there are no pixels yet to check."""

    __slots__ = ("_picture", "_pixels", "_size")

    _picture: bytes
    _pixels: NDArray[np.uint8] | None
    _size: tuple[int, int]

    def __new__(cls, *args: Any, **fields: Any) -> Any:
        """Return an ordinary frame: who asks for one of the same fields and others, `dataclasses.replace`, has pixels."""
        return Frame(*args, **fields)

    @property
    def image(self) -> NDArray[np.uint8]:
        """Pixels, RGB, uint8, H×W×3.

        Raises:
            FrameError: the file cannot be decoded, or is of another size.
        """
        if self._pixels is None:
            object.__setattr__(self, "_pixels", self._decoded())
        assert self._pixels is not None
        return self._pixels

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._size[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._size[1]

    def with_image(self, image: NDArray[np.uint8]) -> Frame:
        """Return the same frame with other pixels; the encoded bytes, which no longer fit, are dropped."""
        return Frame(image, self.name, self.index, self.timestamp, context=self.context)

    def _decoded(self) -> NDArray[np.uint8]:
        from aiohooks.sources.decode import decode_image  # loads OpenCV and Pillow

        height, width = self._size
        pixels, _ = decode_image(self._picture, name=self.name or "a stored frame", max_pixels=height * width)
        if pixels.shape[:2] != self._size:
            raise FrameError(
                f"{self.name or 'a stored frame'}: its file is not of {width}×{height} pixels, as it should be"
            )
        return pixels
