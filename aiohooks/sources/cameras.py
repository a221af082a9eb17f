"""Frames from cameras and network streams."""

import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.iterator_reader import IteratorReader
from aiohooks.sources.read_ahead import ReadAhead
from aiohooks.sources.source import FrameSource, name_of_url

if TYPE_CHECKING:
    import cv2


def camera(device: int | str, *, latest: bool = True, timeout: float = 10.0) -> FrameSource:
    """Return the frames of a camera or network stream, read by OpenCV.

    A frame's index counts the frames that the camera delivered, so gaps show what was dropped; its timestamp is when it was grabbed.

    Args:
        device: number of a camera (0 is the first), a device path, or the URL of a stream (``rtsp://``, ``http://`` …).
        latest: always the newest frame: older ones that nobody took are dropped and counted in ``dropped``. False:
            every frame; a reader that is too slow falls behind.
        timeout: seconds that a network stream may take to open, and for each frame.

    Raises:
        FrameError: in place of a frame, if the camera cannot be opened or delivers no more; iteration ends there.
    """
    name = name_of_url(device) if isinstance(device, str) and "://" in device else f"camera {device}"

    def begin(source: FrameSource) -> ReadAhead:
        shots = _shoot(device, name, timeout)
        return ReadAhead(_NewestReader(shots, source) if latest else IteratorReader(_all_frames(shots)), ahead=0)

    return FrameSource(name, begin, successive=True)


class _Shot(NamedTuple):
    pixels: NDArray[Any]  # as OpenCV gives them: BGR or grey
    name: str
    number: int
    timestamp: datetime

    def to_frame(self) -> Frame:
        import cv2

        conversion = cv2.COLOR_GRAY2RGB if self.pixels.ndim == 2 else cv2.COLOR_BGR2RGB
        rgb = cast("NDArray[np.uint8]", cv2.cvtColor(self.pixels, conversion))
        return Frame(rgb, self.name, self.number, self.timestamp, owned=True)


def _shoot(device: int | str, name: str, timeout: float) -> Generator[_Shot, None, None]:
    capture = _open(device, timeout)
    try:
        if not capture.isOpened():
            raise FrameError(f"{name}: cannot be opened; is it connected, its address right and nobody else using it?")
        number = 0
        while True:
            taken, pixels = capture.read()
            if not taken:
                raise FrameError(f"{name}: no more frames after {number}; it ended, broke off or was silent too long")
            yield _Shot(pixels, name, number, datetime.now(UTC))
            number += 1
    finally:
        capture.release()


def _open(device: int | str, timeout: float) -> "cv2.VideoCapture":
    import cv2

    if isinstance(device, str) and "://" in device:
        milliseconds = int(timeout * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
        return cv2.VideoCapture(device, cv2.CAP_FFMPEG, limits)
    return cv2.VideoCapture(device)


def _all_frames(shots: Iterator[_Shot]) -> Iterator[Frame]:
    for shot in shots:
        yield shot.to_frame()


class _Newest:
    """The newest shot of a camera, put there by one thread and taken by another."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._news = threading.Condition()
        self._shot: _Shot | None = None
        self._failures: list[Exception] = []  # raised by pop(): a name for it would keep the reader alive in a cycle
        self.closed = False

    def keep(self, shots: Generator[_Shot, None, None]) -> None:
        """Take shots until it is closed or they end; the work of the thread."""
        try:
            with closing(shots):
                for shot in shots:
                    if not self._put(shot):
                        return
        except Exception as error:
            with self._news:
                self._failures.append(error)
                self._news.notify_all()

    def _put(self, shot: _Shot) -> bool:
        with self._news:
            self._source.dropped += self._shot is not None
            self._shot = shot
            self._news.notify_all()
            # At the end of the program Python waits for this thread: a daemon inside OpenCV would abort it.
            return not self.closed and threading.main_thread().is_alive()

    def take(self) -> _Shot | None:
        """Wait for a shot that was not taken yet; ``None`` once it is closed."""
        with self._news:
            self._news.wait_for(lambda: self._shot or self._failures or self.closed)
            if self.closed:
                return None
            if self._shot is None:
                self.closed = True
                raise self._failures.pop()
            shot, self._shot = self._shot, None
            return shot

    def close(self) -> None:
        """Wake whoever waits, and end the thread with its next shot."""
        with self._news:
            self.closed = True
            self._news.notify_all()


class _NewestReader:
    def __init__(self, shots: Generator[_Shot, None, None], source: FrameSource) -> None:
        self._newest = _Newest(source)
        self._thread = threading.Thread(target=self._newest.keep, args=(shots,), name="aiohooks-camera")
        self._starting = threading.Lock()
        weakref.finalize(self, self._newest.close)

    def read(self, index: int) -> Frame | None:
        with self._starting:
            if not index and not self._newest.closed:
                self._thread.start()
        shot = self._newest.take()
        return None if shot is None else shot.to_frame()

    def close(self) -> None:
        with self._starting:
            self._newest.close()
        if self._thread.ident is not None:
            self._thread.join()
