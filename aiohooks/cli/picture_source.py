"""All pictures that a command line names, as one source."""

from collections.abc import Sequence
from typing import Self

from aiohooks.cli.inputs import VideoRange, find_inputs
from aiohooks.frame import Frame
from aiohooks.sources import FrameIterator, FrameSource


def picture_source(names: Sequence[str]) -> FrameSource:
    """Return all that was named as one source: folders with their subfolders, videos, pictures.

    Raises:
        FrameError: a path leads nowhere.
    """
    inputs = find_inputs(names, recursive=True, video_range=VideoRange())
    if len(inputs) == 1:
        return inputs[0].frames
    frames = [found.frames for found in inputs]
    return FrameSource(
        f"{len(frames)} sources",
        lambda _: _OneAfterTheOther(frames),
        successive=any(each.successive for each in frames),
    )


class _OneAfterTheOther:
    """The frames of several sources."""

    def __init__(self, frames: Sequence[FrameSource]) -> None:
        self._left = list(frames)
        self._now: FrameIterator | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while self._now is not None or self._left:
            if self._now is None:
                self._now = aiter(self._left.pop(0))
            try:
                return await anext(self._now)
            except StopAsyncIteration:
                await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the source that is being read."""
        if self._now is not None:
            now, self._now = self._now, None
            await now.aclose()
