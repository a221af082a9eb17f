"""Masks in Supervisely's form: the crop around an object as a PNG, compressed again by zlib, in base64, with its corner."""

import base64
import binascii
import io
import zlib
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.prediction.json_fields import get, list_at, number, object_at, text_at

_PNG = b"\x89PNG\r\n\x1a\n"
_PALETTE = [0, 0, 0, 255, 255, 255]
_ROW_BYTES = 8  # of RGBA with 16 bits, the widest pixels of a PNG


def to_bitmap(mask: NDArray[np.uint8]) -> dict[str, Any] | None:
    """Return a mask, (height, width), 0 outside the object, as ``{"origin": [x, y], "data": …}``; None if it is empty."""
    import cv2
    from PIL import Image

    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return None
    picture = Image.fromarray((mask[y : y + height, x : x + width] != 0).astype(np.uint8), mode="P")
    picture.putpalette(_PALETTE)
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=0)
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"origin": [x, y], "data": data}


def from_bitmap(data: object, size: tuple[int, int], path: str) -> NDArray[np.uint8]:
    """Return the mask, (height, width), 1 inside the object, that a bitmap stands for; what is outside the frame is cut off.

    Args:
        data: ``{"origin": [x, y], "data": …}``.
        size: height and width of the frame in pixels. A bitmap that is larger is refused before its pixels are read.
        path: of the bitmap, for messages.

    Raises:
        SpecError: it is no such bitmap.
    """
    item = object_at(data, path)
    origin = list_at(get(item, "origin", path), f"{path}.origin")
    if len(origin) != 2:
        raise SpecError(f"{path}.origin: expected x and y, got {len(origin)} numbers")
    x, y = (round(number(value, f"{path}.origin[{i}]")) for i, value in enumerate(origin))
    inside = _pixels(text_at(item, "data", path), size, f"{path}.data")
    height, width = size
    mask = np.zeros(size, np.uint8)
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + inside.shape[0], height), min(x + inside.shape[1], width)
    if bottom > top and right > left:
        mask[top:bottom, left:right] = inside[top - y : bottom - y, left - x : right - x]
    return mask


def _pixels(text: str, size: tuple[int, int], path: str) -> NDArray[np.bool_]:
    import cv2

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SpecError(f"{path}: this is not base64") from None
    height, width = size
    if not data.startswith(_PNG):
        data = _inflated(data, height * (width * _ROW_BYTES + 1) + 4096, path)
    # A PNG says its size in the header, at bytes 16 to 24 (RFC 2083, 4.1.1).
    columns, rows = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(_PNG) or not (0 < columns <= width and 0 < rows <= height):
        raise SpecError(f"{path}: expected a PNG of at most {width}×{height} pixels, the size of the frame")
    pixels = cast("NDArray[Any] | None", cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    if pixels is None:
        raise SpecError(f"{path}: the PNG is damaged")
    if pixels.ndim == 3:
        pixels = pixels[:, :, 3] if pixels.shape[2] == 4 else pixels.max(axis=2)  # its transparency, if it has one
    inside: NDArray[np.bool_] = pixels != 0
    return inside


def _inflated(data: bytes, most: int, path: str) -> bytes:
    inflating = zlib.decompressobj()
    try:
        inflated = inflating.decompress(data, most)
    except zlib.error:
        raise SpecError(f"{path}: this is not compressed by zlib") from None
    if not inflating.eof:
        raise SpecError(f"{path}: it is cut off, or holds more than a picture of the size of the frame")
    return inflated
