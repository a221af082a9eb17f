"""What every source of frames is: something that can be read from the beginning, again and again."""

from collections.abc import Callable
from typing import Protocol, Self
from urllib.parse import urlsplit

from aiohooks.frame import Frame

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused before their pixels are read, unless told otherwise."""


class FrameIterator(Protocol):
    """Frames one after the other.

    A `FrameError` stands for one frame that could not be read: the next ``anext`` continues after it. Cancelling
    an ``anext`` loses nothing: the next one returns that frame. One task at a time may ask for a frame.
    """

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Frame: ...

    async def aclose(self) -> None:
        """Stop reading; no thread, file or connection of it is left afterwards."""


class FrameSource:
    """A source of frames for ``async for``; every loop starts from the beginning.

    A loop that runs to its end closes everything. After a ``break`` that happens once the iterator is garbage
    collected; `contextlib.aclosing(aiter(source))` does it at a known moment.

    Attributes:
        name: what is read; free of passwords.
        total: number of frames in one loop, if known. A folder or video is counted when its loop starts; for a video
            read forwards it is the number that the file states.
        successive: whether each frame is likely to be like the one before, as those of a video are.
        dropped: frames of a live source that nobody took in time, over all loops.
    """

    def __init__(
        self,
        name: str,
        start: Callable[["FrameSource"], FrameIterator],
        *,
        total: int | None = None,
        successive: bool = False,
    ) -> None:
        self.name = name
        self.successive = successive
        self.total = total
        self.dropped = 0
        self._start = start

    def __aiter__(self) -> FrameIterator:
        return self._start(self)

    def __repr__(self) -> str:
        return f"FrameSource({self.name!r})"


def name_of_url(url: str) -> str:
    """Return a URL without what may be secret: user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
