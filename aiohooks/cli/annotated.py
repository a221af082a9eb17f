"""Annotated pictures and videos, written in worker threads."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aiohooks.atomic_file import write_atomically
from aiohooks.cli.names import Names
from aiohooks.errors import AiohooksError, DeliveryError
from aiohooks.frame import Frame
from aiohooks.hooks.actions.picture import encode
from aiohooks.inference.result import Result
from aiohooks.prediction import Prediction

if TYPE_CHECKING:
    import cv2

Job = Callable[[], None]
"""Draws and writes one frame, or finishes a file; blocks. Raises `AiohooksError` if that fails."""

USUAL_FPS = 25.0
"""Frames per second of a video that does not tell how many it has."""


class Output(Protocol):
    """Annotated frames of one source."""

    @property
    def path(self) -> Path:
        """The folder or file they go to."""

    @property
    def workers(self) -> int:
        """Jobs that may run at once."""

    def job(self, result: Result) -> Job | None:
        """Return what writes this result, if there is anything to write; called in the order of the frames."""

    def finish(self) -> None:
        """Complete the file; a job for when all others are done."""


class AnnotatedPictures:
    """Pictures in a folder, under the names of their frames; what is neither PNG nor JPEG becomes a PNG.

    Args:
        path: the folder.
        names: those that are taken in it.
    """

    workers = 2

    def __init__(self, path: Path, names: Names) -> None:
        self.path = path
        self._names = names

    def job(self, result: Result) -> Job | None:
        """Return what draws and writes the picture; there is none where inference failed."""
        if not result.ok:
            return None
        name = result.frame.name
        if not name.lower().endswith((".png", ".jpg", ".jpeg", ".jpe")):
            name += ".png"
        return partial(_write_picture, self.path / self._names.take(name), result.frame, result.prediction)

    def finish(self) -> None:
        """Every picture is complete when it is written."""


class AnnotatedVideo:
    """An mp4 of the size and speed of the video that its frames come from; it has its name once it is complete.

    MPEG-4 halves the resolution of colours, so the last row or column of an odd number is lost.

    Args:
        path: the file.
        original: the video that the frames come from.
        stride: they are every ``stride``-th of it, and are shown so much longer.
    """

    workers = 1

    def __init__(self, path: Path, original: Path, stride: int) -> None:
        self.path = path
        self._original = original
        self._stride = stride
        self._part = path.with_name(f".{path.stem}.part.mp4")
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def job(self, result: Result) -> Job | None:
        """Return what appends the frame, as it is where inference failed; there is none if it could not be read."""
        try:
            frame = result.frame
        except AiohooksError:
            return None
        return partial(self._append, frame, result.prediction if result.ok else None)

    def finish(self) -> None:
        """Give the video its name.

        Raises:
            DeliveryError: it lacks frames.
        """
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV says nothing when a disk is full.
        complete = _property(self._part, "CAP_PROP_FRAME_COUNT") == self._frames
        try:
            if not complete:
                self._part.unlink(missing_ok=True)
                raise DeliveryError(f"{self.path}: the video cannot be written whole; is there room for it?")
            self._part.replace(self.path)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _append(self, frame: Frame, prediction: Prediction | None) -> None:
        import cv2

        if self._writer is None:
            self._writer = self._open(frame)
        image = frame.image if prediction is None else prediction.draw(frame)
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def _open(self, frame: Frame) -> "cv2.VideoWriter":
        import cv2

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.write_bytes(b"")
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        fps = _property(self._original, "CAP_PROP_FPS") or USUAL_FPS
        writer = cv2.VideoWriter(
            str(self._part), cv2.VideoWriter.fourcc(*"mp4v"), fps / self._stride, (frame.width, frame.height)
        )
        if not writer.isOpened():
            self._part.unlink(missing_ok=True)
            raise DeliveryError(f"{self.path}: OpenCV cannot write a video of {frame.width}×{frame.height} pixels")
        return writer


def _write_picture(path: Path, frame: Frame, prediction: Prediction) -> None:
    picture = encode(prediction.draw(frame), ".png" if path.suffix.lower() == ".png" else ".jpg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, picture)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> DeliveryError:
    return DeliveryError(f"{path}: cannot be written: {error.strerror}")


def _property(video: Path, name: str) -> float:
    """Return what OpenCV knows of a video, 0 if nothing."""
    import cv2

    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    try:
        return capture.get(getattr(cv2, name))
    finally:
        capture.release()
