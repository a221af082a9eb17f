"""A video file whose frames are known by their number."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.files import require_file

_FIRST_STEP_BACK = 16


class VideoFile:
    """Decodes a video one frame after the other; for one worker thread at a time.

    OpenCV can jump to a frame, but lands elsewhere where the frame rate varies or key frames are far apart. The
    time of the frame it lands on is right, so after `count` that tells which one it is.

    Args:
        path: the file.
        max_pixels: refuse a video with more pixels in a frame.

    Attributes:
        frame_bytes: size of the pixels of a frame.
        counted: frames that `count` has found.

    Raises:
        FrameError: it is not a video that can be read, or too large.
    """

    def __init__(self, path: Path, max_pixels: int) -> None:
        require_file(path)
        self._path = path
        self._capture = cv2.VideoCapture()
        self._numbers: dict[float, int] = {}  # of the frames, by their times
        self.counted = 0
        if not self._open():
            raise FrameError(f"video {path}: not a video that can be read, or cut off where its index was")
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > max_pixels:
            self._capture.release()
            raise FrameError(f"video {path}: {width}×{height} pixels are more than the limit of {max_pixels:,}")
        self.frame_bytes = width * height * 3

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._capture.release()

    @property
    def announced(self) -> int | None:
        """Number of frames as the container says or FFmpeg estimates."""
        number = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return number if number > 0 else None

    @property
    def frames_per_second(self) -> float:
        """Frames in a second of the video, as the container says; 0 if it does not."""
        return max(0.0, self._capture.get(cv2.CAP_PROP_FPS))

    def count(self) -> Iterator[None]:
        """Count the frames by decoding them, one with each step, and learn the time of each."""
        while self._capture.grab():
            self._numbers[self._time()] = self.counted
            self.counted += 1
            yield
        if len(self._numbers) < self.counted:  # times that repeat tell nothing
            self._numbers.clear()

    def grab(self) -> bool:
        """Decode the next frame; false if there is none."""
        return self._capture.grab()

    def grab_at(self, number: int) -> bool:
        """Decode the frame of this number, wherever the video is now."""
        step_back = 0
        while number > step_back:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, number - step_back)
            landed = self._numbers.get(self._time()) if self._capture.grab() else None
            if landed is not None and landed <= number:
                return all(self._capture.grab() for _ in range(number - landed))
            step_back = max(_FIRST_STEP_BACK, 2 * step_back)
        return self._open() and all(self._capture.grab() for _ in range(number + 1))

    def frame(self, number: int) -> Frame:
        """Return the frame decoded last, as the one of this number."""
        decoded, pixels = self._capture.retrieve()
        if not decoded:
            raise FrameError(f"video {self._path}: frame {number} cannot be decoded")
        rgb = cast("NDArray[np.uint8]", cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        return Frame(rgb, f"{self._path.name}_{number:06d}", number, owned=True)

    def _open(self) -> bool:
        return self._capture.open(str(self._path), cv2.CAP_FFMPEG)

    def _time(self) -> float:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC)
