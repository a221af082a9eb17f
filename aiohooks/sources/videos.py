"""Frames from video files, forwards and backwards."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.container import is_cut_off
from aiohooks.sources.files import unreadable
from aiohooks.sources.iterator_reader import NOT_YET, IteratorReader
from aiohooks.sources.read_ahead import ReadAhead
from aiohooks.sources.source import MAX_PIXELS, FrameSource

if TYPE_CHECKING:
    from aiohooks.sources.video_file import VideoFile  # loads OpenCV

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
)
"""Suffixes by which `frames` tells a video from a picture, in lower case."""

CHUNK_BYTES = 128 * 1024 * 1024
"""Pixels that reading backwards holds at most, besides one frame and the read-ahead."""


def video(
    path: str | os.PathLike[str],
    *,
    start: int = 0,
    end: int | None = None,
    stride: int = 1,
    backwards: bool = False,
    max_pixels: int = MAX_PIXELS,
    read_ahead: int = 4,
) -> FrameSource:
    """Return the frames of a video file whose numbers are in ``range(start, end, stride)``.

    A frame's index is its number in the video, exact also where the frame rate varies: frames are counted by
    decoding them, so a late ``start`` takes its time, and reading backwards decodes the video once beforehand.

    Args:
        path: the file.
        start: number of the first frame, from 0.
        end: number of the first frame that is not wanted any more; by default the end of the video.
        stride: take every ``stride``-th frame.
        backwards: the same frames, last one first; in bounded memory.
        max_pixels: refuse a video with more pixels in a frame.
        read_ahead: frames decoded before they are asked for.

    Raises:
        ValueError: ``start``, ``end`` or ``stride`` is out of range.
        FrameError: ``path`` is none; in place of the first frame if it is not a video that can be read or ends before ``start``; after the
            last frame if the file is cut off before ``end``. Iteration ends there.
    """
    if start < 0 or stride < 1 or (end is not None and end <= start):
        raise ValueError(f"expected 0 <= start < end and stride >= 1, got {start=}, {end=}, {stride=}")
    if not isinstance(path, (str, os.PathLike)):
        raise FrameError(f"video takes the path of a file, got {path!r}; a camera is read by ah.camera({path!r})")
    file = Path(path)
    wanted = slice(start, end, stride)

    def begin(source: FrameSource) -> ReadAhead:
        read = _backwards if backwards else _forwards
        return ReadAhead(IteratorReader(read(file, wanted, source, max_pixels)), ahead=read_ahead)

    return FrameSource(str(file), begin, successive=True)


def _forwards(file: Path, wanted: slice, source: FrameSource, max_pixels: int) -> Iterator[Frame]:
    from aiohooks.sources.video_file import VideoFile

    with VideoFile(file, max_pixels) as opened:
        source.total = opened.announced and len(range(opened.announced)[wanted])
        number = 0
        while wanted.stop is None or number < wanted.stop:
            if not opened.grab():
                _check_end(file, number, wanted)
                return
            is_wanted = number >= wanted.start and (number - wanted.start) % wanted.step == 0
            yield opened.frame(number) if is_wanted else NOT_YET
            number += 1


def _backwards(file: Path, wanted: slice, source: FrameSource, max_pixels: int) -> Iterator[Frame]:
    from aiohooks.sources.video_file import VideoFile

    with VideoFile(file, max_pixels) as opened:
        for _ in opened.count():
            yield NOT_YET
        numbers = range(opened.counted)[wanted]
        source.total = len(numbers)
        chunk_length = max(1, CHUNK_BYTES // max(1, opened.frame_bytes))
        for stop in range(len(numbers), 0, -chunk_length):
            chunk = yield from _decode(opened, numbers[max(0, stop - chunk_length) : stop], file)
            while chunk:
                yield chunk.pop()
        if wanted.stop is None or opened.counted < wanted.stop:
            _check_end(file, opened.counted, wanted)


def _decode(opened: "VideoFile", numbers: range, file: Path) -> Generator[Frame, None, list[Frame]]:
    decoded = []
    for number in range(numbers[0], numbers[-1] + 1):
        if not (opened.grab_at(number) if number == numbers[0] else opened.grab()):
            raise FrameError(f"video {file}: frame {number} cannot be decoded a second time")
        if number in numbers:
            decoded.append(opened.frame(number))
        yield NOT_YET
    return decoded


def _check_end(file: Path, total: int, wanted: slice) -> None:
    """Raise if a video ended before it should."""
    if total <= wanted.start:
        raise FrameError(f"video {file}: it has {total} frames, it ends before start={wanted.start}")
    try:
        cut_off = is_cut_off(file)
    except OSError as error:
        raise unreadable(file, error) from error
    if cut_off:
        raise FrameError(
            f"video {file}: the file is cut off, it ends with {total} frames, the last perhaps damaged; copy it again"
        )
