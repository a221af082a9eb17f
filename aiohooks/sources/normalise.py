"""Anything that holds pictures, turned into a source of frames."""

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.convert import ENCODED, Picture, as_frame, wrap
from aiohooks.sources.iterator_reader import IteratorReader
from aiohooks.sources.pictures import folder, images
from aiohooks.sources.read_ahead import ReadAhead
from aiohooks.sources.source import MAX_PIXELS, FrameIterator, FrameSource
from aiohooks.sources.videos import VIDEO_SUFFIXES, video

Pictures = Picture | Iterable[Picture] | AsyncIterable[Picture]
"""What `frames` takes."""

_END: Any = object()


def frames(pictures: Pictures, *, max_pixels: int = MAX_PIXELS) -> FrameIterator:
    """Return the frames of anything that holds pictures.

    Args:
        max_pixels: pictures whose header announces more pixels are refused; a source has its own limit.
        pictures: one of

            - a source (`images`, `folder`, `video`, `camera`, `mjpeg`);
            - an async iterable of pictures;
            - a list, tuple or other sequence of pictures; encoded ones are decoded ahead in worker threads;
            - any other iterable, such as a generator, which is advanced in a worker thread;
            - one picture, or the path of a folder or video.

            A picture is a path, encoded bytes, an RGB uint8 array or a frame. A generator is closed with the iterator.

    Raises:
        FrameError: it is none of these; or, in place of a frame, a picture cannot be read, after which the next
            frame follows.
    """
    match pictures:
        case FrameSource():
            return aiter(pictures)
        case str() | os.PathLike():
            return aiter(_from_path(Path(pictures), max_pixels))
        case np.ndarray() if pictures.ndim == 4:
            return _Items(iter(pictures), max_pixels)
        case bytes() | bytearray() | memoryview() | Frame() | np.ndarray():
            return _Items(iter([pictures]), max_pixels)
        case AsyncIterable():
            return _Items(aiter(pictures), max_pixels)
        case Sequence() if pictures and isinstance(pictures[0], ENCODED):
            return aiter(images(*pictures, max_pixels=max_pixels))
        case Sequence():
            return _Items(iter(pictures), max_pixels)
        case Iterable():
            return ReadAhead(IteratorReader(pictures, max_pixels=max_pixels), ahead=0)
    raise FrameError(f"no frames in {type(pictures).__name__}: expected pictures, an iterable of them or a path")


def is_successive(pictures: Any) -> bool:
    """Tell whether pictures are known to be those of a video, camera or stream, each like the one before."""
    if isinstance(pictures, (str, os.PathLike)):
        return Path(pictures).suffix.lower() in VIDEO_SUFFIXES
    return isinstance(pictures, FrameSource) and pictures.successive


def _from_path(path: Path, max_pixels: int) -> FrameSource:
    if path.is_dir():
        return folder(path, max_pixels=max_pixels)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return video(path, max_pixels=max_pixels)
    return images(path, max_pixels=max_pixels)


class _Items:
    """Frames of pictures that come by themselves: no thread unless one is encoded."""

    def __init__(self, pictures: Iterator[Any] | AsyncIterator[Any], max_pixels: int) -> None:
        self._pictures: Any = pictures
        self._is_async = isinstance(pictures, AsyncIterator)
        self._max_pixels = max_pixels
        self._current: Any = None  # asked for and not yet returned
        self._index = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        picture = self._current
        if picture is None:
            self._current = picture = await anext(self._pictures) if self._is_async else self._next()
        try:
            frame = wrap(picture, self._index)
            if frame is None:
                frame = await as_frame(picture, index=self._index, max_pixels=self._max_pixels)
        except FrameError:
            self._go_on()
            raise
        self._go_on()
        return frame

    def _next(self) -> Any:
        picture = next(self._pictures, _END)
        if picture is _END:
            raise StopAsyncIteration
        return picture

    def _go_on(self) -> None:
        self._current = None
        self._index += 1

    async def aclose(self) -> None:
        """Close the iterator, if it can be closed as generators can."""
        aclose = getattr(self._pictures, "aclose", None)
        if aclose is not None:
            await aclose()
