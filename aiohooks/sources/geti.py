"""Frames from a dataset of Intel Geti."""

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Self

import anyio
import msgspec

from aiohooks.clients.geti import Dataset, GetiClient, Picture, Project
from aiohooks.clients.geti.client import PictureTooLargeError
from aiohooks.errors import FrameError, RemoteError
from aiohooks.frame import Frame
from aiohooks.one_error import one_error
from aiohooks.sources.convert import as_frame
from aiohooks.sources.source import MAX_PIXELS, FrameSource

MAX_PICTURE_BYTES = 64 * 1024 * 1024
"""Pictures of more bytes than this are refused, unless told otherwise."""

_MISSING = frozenset({404, 410})


def geti_dataset(
    geti: GetiClient,
    project: Project | str,
    dataset: Dataset | str | None = None,
    *,
    labelled: bool = False,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_PICTURE_BYTES,
    read_ahead: int = 4,
) -> FrameSource:
    """Return the pictures of a dataset of Intel Geti as a source of frames, downloaded as they are asked for, into memory.

    They are as Geti shows them: JPEG. Videos are left out. A frame has the name of its picture, and the `Picture` as its ``context``.

    Args:
        geti: open while the frames are read.
        project: or its name or id.
        dataset: or its name or id; by default the one that the project trains with.
        labelled: only pictures that people have annotated, which are those that Geti trains with; what labels they gave is in
            ``frame.context.label_names``.
        max_pixels: refuse a picture whose header tells of more.
        max_bytes: refuse a picture of more.
        read_ahead: pictures downloaded beside the one that is asked for, at the same time; so many are in memory.

    Raises:
        FrameError: at the frame of a picture that cannot be read, is too large or has been deleted, and the next frame follows.
        SessionError: at a frame: the server cannot be reached or refuses, or there is no such project or dataset; no frame follows.
    """
    if read_ahead < 0:
        raise ValueError(f"read_ahead must be 0 or more pictures, got {read_ahead}")
    asked = _Asked(geti, project, dataset, labelled, max_pixels, max_bytes, read_ahead + 1)
    name = project if isinstance(project, str) else project.name
    return FrameSource(f"pictures of {name} in Geti", lambda _: _Downloads(asked))


@dataclass(frozen=True, slots=True)
class _Asked:
    geti: GetiClient
    project: Project | str
    dataset: Dataset | str | None
    labelled: bool
    max_pixels: int
    max_bytes: int
    at_once: int


@dataclass(slots=True, eq=False)
class _Download:
    """A picture that is listed.

    Attributes:
        picture: as it is listed.
        is_done: whether there is a frame, a failure or nothing to return.
        frame: what came of it.
        failure: what came of it instead; taken out to be raised, so that no traceback holds it.
    """

    picture: Picture
    is_done: bool = False
    frame: Frame | None = None
    failure: list[FrameError] = field(default_factory=list)


class _Downloads:
    """The frames of a dataset, some downloaded at once whenever none is left: nothing is under way between two calls."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self._project: Project | None = None
        self._dataset: Dataset | None = None
        self._pictures: AsyncGenerator[Picture, None] | None = None
        self._listed = 0
        self._has_ended = False
        self._downloads: deque[_Download] = deque()
        self._returned = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while True:
            if not self._downloads or not self._downloads[0].is_done:
                await self._download_some()
            if not self._downloads:
                raise StopAsyncIteration
            done = self._downloads.popleft()
            if done.failure:
                self._returned += 1
                raise done.failure.pop()
            if done.frame is not None:
                self._returned += 1
                return replace(done.frame, index=self._returned - 1)

    async def aclose(self) -> None:
        """Stop listing pictures."""
        self._has_ended = True
        self._downloads.clear()
        if self._pictures is not None:
            await self._pictures.aclose()

    async def _download_some(self) -> None:
        await self._list_some()
        try:
            with one_error():
                async with anyio.create_task_group() as tasks:
                    for each in self._downloads:
                        if not each.is_done:
                            tasks.start_soon(self._download, each)
        except Exception:
            self._has_ended = True
            self._downloads.clear()
            raise

    async def _list_some(self) -> None:
        asked = self._asked
        if self._project is None:
            self._project = (
                asked.project if isinstance(asked.project, Project) else await asked.geti.project(asked.project)
            )
        if self._dataset is None:
            named = asked.dataset
            self._dataset = named if isinstance(named, Dataset) else await asked.geti.dataset(self._project, named)
        while len(self._downloads) < asked.at_once and not self._has_ended:
            if self._pictures is None:
                self._pictures = await self._from_where_it_was()
            try:
                picture = await anext(self._pictures)
            except StopAsyncIteration:
                self._has_ended = True
            except BaseException:
                # A generator ends when what it awaits is cancelled; the next call begins another.
                self._pictures = None
                raise
            else:
                self._listed += 1
                self._downloads.append(_Download(picture))

    async def _from_where_it_was(self) -> AsyncGenerator[Picture, None]:
        assert self._dataset is not None
        pictures = self._asked.geti.pictures(self._dataset)
        for _ in range(self._listed):
            await anext(pictures)
        return pictures

    async def _download(self, download: _Download) -> None:
        asked, picture = self._asked, download.picture
        try:
            if asked.labelled:
                assert self._project is not None
                names = await asked.geti.label_names(self._project, picture)
                if not names:
                    download.is_done = True
                    return
                picture = msgspec.structs.replace(picture, label_names=names)
            encoded = await asked.geti.picture_bytes(picture, max_bytes=asked.max_bytes)
            name = picture.name or picture.id
            download.frame = await as_frame(encoded, name=name, context=picture, max_pixels=asked.max_pixels)
        except (FrameError, PictureTooLargeError) as error:
            download.failure.append(error if isinstance(error, FrameError) else FrameError(str(error)))
        except RemoteError as error:
            if error.status not in _MISSING:
                raise
            download.failure.append(FrameError(f"picture {picture.name!r} cannot be had from Geti: {error}"))
        download.is_done = True
