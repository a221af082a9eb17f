"""Reading a plain iterator in a worker thread."""

import threading
from collections.abc import Iterable, Iterator
from types import GeneratorType
from typing import Any

from aiohooks.frame import Frame
from aiohooks.sources.convert import Picture, to_frame
from aiohooks.sources.source import MAX_PIXELS

NOT_YET: Any = object()
"""Yielded by a generator that has no frame yet, so that it can be closed in the middle of its search."""

_END: Any = object()


class IteratorReader:
    """Reads frames from an iterator of pictures, one at a time.

    A picture that cannot be decoded does not end the iterator: the next read continues after it.

    Args:
        pictures: yields pictures, or `NOT_YET`; a generator is closed with this object.
        max_pixels: refuse an encoded picture whose header announces more pixels.
    """

    def __init__(self, pictures: Iterable[Picture], *, max_pixels: int = MAX_PIXELS) -> None:
        self._iterator: Iterator[Picture] = iter(pictures)
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._closed = False

    def read(self, index: int) -> Frame | None:
        """Return the next frame, or ``None`` at the end."""
        picture = NOT_YET
        while picture is NOT_YET:
            with self._lock:
                picture = _END if self._closed else next(self._iterator, _END)
        if picture is _END:
            return None
        return to_frame(picture, index, max_pixels=self._max_pixels)

    def close(self) -> None:
        """Close the generator once no read runs in it."""
        self._closed = True
        with self._lock:
            if isinstance(self._iterator, GeneratorType):
                self._iterator.close()
