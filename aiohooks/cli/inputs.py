"""What to run on: the sources that a command line names."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from aiohooks import sources
from aiohooks.errors import FrameError
from aiohooks.sources import VIDEO_SUFFIXES, FrameSource

Kind = Literal["folder", "video", "pictures"]


@dataclass(frozen=True)
class Input:
    """One source of frames.

    Attributes:
        kind: a folder, a video, or pictures that were named one after the other.
        paths: the folder, the video, or the pictures.
        frames: the source.
    """

    kind: Kind
    paths: tuple[Path, ...]
    frames: FrameSource


@dataclass(frozen=True)
class VideoRange:
    """Which frames of a video are wanted: see `aiohooks.video`."""

    start: int = 0
    end: int | None = None
    stride: int = 1


def find_inputs(names: Iterable[str], *, recursive: bool, video_range: VideoRange) -> list[Input]:
    """Return the sources that were named, in their order; pictures that follow one another become one source.

    Args:
        names: paths of folders, videos and pictures.
        recursive: take the pictures in subfolders of folders too.
        video_range: which frames of every video.

    Raises:
        FrameError: a path leads nowhere.
    """
    names = tuple(names)
    paths = [Path(name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if not path.exists():
            if name.isdecimal() or "://" in name:
                raise FrameError(
                    f"{name}: files and folders are taken here; cameras in Python, by ah.camera and ah.mjpeg"
                )
            raise FrameError(f"{path}: there is no such file or folder")
    inputs: list[Input] = []
    for kind, group in groupby(paths, _kind):
        found = tuple(group)
        if kind == "pictures":
            inputs.append(Input(kind, found, sources.images(*found)))
            continue
        for path in found:
            if kind == "folder":
                frames = sources.folder(path, recursive=recursive)
            else:
                frames = sources.video(path, start=video_range.start, end=video_range.end, stride=video_range.stride)
            inputs.append(Input(kind, (path,), frames))
    return inputs


def _kind(path: Path) -> Kind:
    if path.is_dir():
        return "folder"
    return "video" if path.suffix.lower() in VIDEO_SUFFIXES else "pictures"
