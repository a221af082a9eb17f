"""Reading a plain iterator in a worker thread."""

import threading
from collections.abc import Iterable, Iterator
from types import GeneratorType
from typing import Any

from aiohooks.frame import Frame
from aiohooks.sources.convert import Picture, to_frame
from aiohooks.sources.source import MAX_PIXELS

_END: Any = object()


class IteratorReader:
    """Reads frames from an iterator of pictures, one at a time.

    A picture that cannot be decoded leaves the iterator as it is, so the next read goes on behind it.

    Args:
        pictures: what stands for frames; a generator is closed with this object.
        max_pixels: refuse an encoded picture whose header tells of more.
    """

    def __init__(self, pictures: Iterable[Picture], *, max_pixels: int = MAX_PIXELS) -> None:
        self._iterator: Iterator[Picture] = iter(pictures)
        self._max_pixels = max_pixels
        self._lock = threading.Lock()

    def read(self, index: int) -> Frame | None:
        """Return the next frame, or ``None`` at the end."""
        with self._lock:
            picture = next(self._iterator, _END)
        if picture is _END:
            return None
        return to_frame(picture, index, max_pixels=self._max_pixels)

    def close(self) -> None:
        """Close the generator once no read runs in it."""
        with self._lock:
            if isinstance(self._iterator, GeneratorType):
                self._iterator.close()
