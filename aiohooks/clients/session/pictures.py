"""Whatever stands for a picture, as something to send."""

import os
from pathlib import Path
from typing import Any, TypeGuard

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks.clients.session.request import Part
from aiohooks.errors import FrameError
from aiohooks.frame import Frame

Picture = Frame | NDArray[np.uint8] | str | os.PathLike[str] | bytes | int
"""A frame, RGB uint8 pixels of shape H×W×3, a path, a URL, encoded bytes, or the id that the server has for a picture."""


FILES = "files"
"""The name of parts of a form that are files."""


def is_url(picture: object) -> TypeGuard[str]:
    """Tell whether this is the address of a picture."""
    return isinstance(picture, str) and picture.startswith(("http://", "https://"))


def is_id(picture: object) -> TypeGuard[int]:
    """Tell whether this is the id of a picture."""
    return isinstance(picture, int | np.integer) and not isinstance(picture, bool)


async def upload_of(picture: Any, index: int = 0) -> Part:
    """Return a picture as a file to send: files and encoded bytes as they are, pixels as PNG, made in a worker thread.

    Args:
        picture: a `Picture`, but no URL or id.
        index: position among others, for its name.

    Raises:
        FrameError: it is no picture, or a file that is not there.
    """
    if isinstance(picture, str | os.PathLike):
        return await file_upload(picture)
    if isinstance(picture, bytes | bytearray | memoryview):
        content = bytes(picture)
        return Part(FILES, content, len(content), f"picture {index}")
    if isinstance(picture, np.ndarray):
        picture = Frame(picture)
    if not isinstance(picture, Frame):
        kind = type(picture).__name__
        raise FrameError(
            f"picture {index}: expected a path, a URL, an id, encoded bytes, RGB uint8 pixels or a Frame, got {kind}"
        )
    name = picture.name or f"picture {index}"
    content = picture.encoded if picture.encoded is not None else await anyio.to_thread.run_sync(_png, picture)
    return Part(FILES, content, len(content), name)


async def file_upload(path: str | os.PathLike[str]) -> Part:
    """Return a file to send.

    Raises:
        FrameError: there is no such file.
    """
    file = Path(path)
    try:
        length = (await anyio.to_thread.run_sync(file.stat)).st_size
    except OSError as error:
        raise FrameError(f"{file}: cannot be read: {error.strerror}") from error
    if not await anyio.to_thread.run_sync(file.is_file):
        raise FrameError(f"{file}: it is not a file")
    return Part(FILES, file, length, file.name)


def _png(frame: Frame) -> bytes:
    import cv2

    encoded: NDArray[np.uint8] = cv2.imencode(".png", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))[1]
    return encoded.tobytes()
