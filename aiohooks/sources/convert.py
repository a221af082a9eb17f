"""Anything that is a picture (pixels, a path, encoded bytes, a frame), turned into a frame."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
from anyio.lowlevel import RunVar
from numpy.typing import NDArray

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.files import require_file, unreadable
from aiohooks.sources.source import MAX_PIXELS

Picture = Frame | NDArray[np.uint8] | str | os.PathLike[str] | bytes | bytearray | memoryview
"""A frame, RGB uint8 pixels of shape H×W×3, the path of a picture file, or its encoded bytes."""

_decoding_threads: RunVar[anyio.CapacityLimiter] = RunVar("_decoding_threads")

ENCODED = (str, os.PathLike, bytes, bytearray, memoryview)
"""Types of pictures that have to be decoded."""


def wrap(picture: Any, index: int) -> Frame | None:
    """Return a frame at once, or ``None`` for a path or bytes, which take a worker thread to decode.

    Args:
        picture: a `Picture`. A `Frame` is returned as it is; pixels are not copied.
        index: position of the new frame in its source.

    Raises:
        FrameError: it is not a picture.
    """
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, np.ndarray):
        return Frame(picture, index=index)
    if isinstance(picture, ENCODED):
        return None
    raise FrameError(
        f"picture {index}: expected an RGB uint8 array, a path, encoded bytes or a Frame, got "
        f"{type(picture).__name__}{_way_out(picture)}"
    )


def to_frame(picture: Any, index: int, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Frame:
    """Return a frame, decoding in this thread what is encoded; for worker threads.

    Args:
        picture: a `Picture`.
        index: position of the new frame in its source.
        name: of the new frame; by default the name of the file.
        max_pixels: refuse an encoded picture whose header announces more pixels.

    Raises:
        FrameError: it is not a picture that can be read.
    """
    frame = wrap(picture, index)
    if frame is not None:
        return frame
    from aiohooks.sources.decode import decode_image

    if isinstance(picture, (str, os.PathLike)):
        path = Path(picture)
        encoded = _read_file(path)
        pixels, is_exact = decode_image(encoded, name=str(path), max_pixels=max_pixels)
        name = path.name if name is None else name
    else:
        encoded = bytes(picture)
        pixels, is_exact = decode_image(encoded, name=name or f"picture {index}", max_pixels=max_pixels)
    return Frame(pixels, name or "", index, encoded=encoded if is_exact else None, owned=True)


async def as_frame(
    picture: Any, *, index: int = 0, name: str | None = None, context: Any = None, max_pixels: int = MAX_PIXELS
) -> Frame:
    """Return a frame, decoding in a worker thread what is encoded.

    Args:
        picture: a `Picture`.
        index: position of the new frame in its source.
        name: of the frame, in place of the file's.
        context: of the frame, in place of the one that it has.
        max_pixels: refuse an encoded picture whose header announces more pixels.

    Raises:
        FrameError: it is not a picture that can be read.
    """
    frame = wrap(picture, index)
    if frame is None:
        frame = await anyio.to_thread.run_sync(
            lambda: to_frame(picture, index, name=name, max_pixels=max_pixels), limiter=decoding_threads()
        )
    given = {"name": name, "context": context}
    changed = {
        field: value for field, value in given.items() if value is not None and value is not getattr(frame, field)
    }
    return replace(frame, **changed) if changed else frame


def decoding_threads() -> anyio.CapacityLimiter:
    """Return the limiter of the decoding threads: not anyio's shared one, which actions may fill, so that decoding never waits for them."""
    try:
        return _decoding_threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(2 * (os.cpu_count() or 1))
        _decoding_threads.set(limiter)
        return limiter


def _read_file(path: Path) -> bytes:
    require_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _way_out(picture: object) -> str:
    if picture is None:
        return ", as cv2.imread returns it for a file that it cannot read: pass the path itself"
    if hasattr(picture, "convert"):
        return ', a picture of Pillow: pass np.asarray(image.convert("RGB"))'
    if hasattr(picture, "numpy"):
        return ", a tensor: pass its .numpy(), as H×W×3 in 0–255"
    return ""
