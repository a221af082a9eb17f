"""Frames of a video, forwards or backwards, through a deployment."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread

from aiohooks import sources
from aiohooks.deployment import Deployment
from aiohooks.errors import FrameError
from aiohooks.server.supervisely.frame_range import Wanted, frames_of
from aiohooks.server.supervisely.results import encoded
from aiohooks.server.supervisely.settings import Settings


class VideoToInfer(NamedTuple):
    """Frames of a video.

    Attributes:
        name: how messages call it.
        path: of the file, which no message shows.
        source: of the frames, in the order in which they are wanted.
        total: how many there are, as far as the file says.
    """

    name: str
    path: Path
    source: sources.FrameSource
    total: int

    async def infer(
        self,
        deployment: Deployment,
        settings: Settings,
        about: Mapping[str, Any],
        take: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Infer the frames and hand over the result of each, encoded.

        Args:
            deployment: what infers them.
            settings: what is wanted of the predictions.
            about: what else each result says.
            take: is given the results, and awaited before the next frame is read.

        Raises:
            FrameError: the video is damaged.
            InferenceError: the model failed on a frame.
        """
        with _naming(self.path, self.name):
            async with deployment.stream(self.source) as stream:
                async for result in stream:
                    about_it = {**about, "frame_index": result.frame.index}
                    await take(await encoded(result.prediction, settings, about_it))


async def open_video(name: str, path: Path, wanted: Wanted, *, max_pixels: int) -> VideoToInfer:
    """Return the wanted frames of a video, which is looked at, not read.

    Args:
        name: how messages call it.
        path: of the file.
        wanted: which frames.
        max_pixels: of a frame.

    Raises:
        FrameError: it is no video that can be read.
        Refusal: 400, it has no such frames.
    """
    with _naming(path, name):
        total, rate = await anyio.to_thread.run_sync(_frames_and_rate, path, max_pixels)
        numbers = frames_of(wanted, total, rate)
        # What a file says of its frames may be wrong: a video that is wanted to its end is read until it ends.
        to_its_end = not wanted.backwards and numbers[-1] + numbers.step >= total
        source = sources.video(
            path,
            start=numbers[0],
            end=None if to_its_end else numbers[-1] + 1,
            stride=numbers.step,
            backwards=wanted.backwards,
            max_pixels=max_pixels,
        )
        return VideoToInfer(name, path, source, len(numbers))


@contextmanager
def _naming(path: Path, name: str) -> Iterator[None]:
    """Have errors name the video as the client does, not by its path."""
    try:
        yield
    except FrameError as error:
        raise FrameError(str(error).replace(str(path), name)) from error


def _frames_and_rate(path: Path, max_pixels: int) -> tuple[int, float]:
    from aiohooks.sources.video_file import VideoFile  # loads OpenCV

    with VideoFile(path, max_pixels) as video:
        rate = video.frames_per_second
        if video.announced is None:
            for _ in video.count():
                pass
        return video.announced or video.counted, rate
