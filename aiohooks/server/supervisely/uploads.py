"""Forms with pictures or a video, and the state that goes with them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import anyio
from aiohttp import BodyPartReader, web

from aiohooks.file_name import safe_name
from aiohooks.server.arrival import Arrival
from aiohooks.server.bodies import too_large
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Serving
from aiohooks.server.supervisely.jobs import Job
from aiohooks.server.supervisely.state import State, state_of_form
from aiohooks.server.uploads import Upload, full_disk_is_refused

FILES = "files"
"""The name of the parts that are files."""

_MAX_TEXT_BYTES = 1024 * 1024
_TEXTS = ("state", "settings")


class Picture(NamedTuple):
    """An uploaded picture: its name and its encoded bytes."""

    name: str
    content: bytes


class SavedFile(NamedTuple):
    """An uploaded file on disk: the name that its client gave it, and where it is."""

    name: str
    path: Path


async def read_pictures(serving: Serving, request: web.Request) -> tuple[list[Picture], State]:
    """Read a form with pictures into memory.

    Raises:
        Refusal: 400, there is no picture in it; 413, it is too large.
    """
    pictures: list[Picture] = []
    texts: dict[str, bytes] = {}
    arrival = serving.bodies.arrival(request)
    async for part in _parts(serving, request, texts, arrival):
        if len(pictures) == serving.limits.frames:
            raise Refusal(413, f"a request may have {serving.limits.frames} pictures")
        content = await serving.bodies.read_part(request, part, arrival)
        pictures.append(Picture(_name(part, len(pictures)), content))
    if not pictures:
        raise Refusal(400, f"the form has no part {FILES!r} with a file")
    return pictures, state_of_form(texts)


async def save_files(
    serving: Serving, request: web.Request, folder: Path, job: Job, upload: Upload, *, most: int
) -> tuple[list[SavedFile], State]:
    """Read a form with files, each into a file of a folder.

    Args:
        serving: what has the limits.
        request: with the form.
        folder: for the files.
        job: it is told how much has come.
        upload: it is told too, and may refuse more.
        most: files that the form may have.

    Raises:
        Refusal: 400, there is no file in it; 413, it is too large; 408, it comes too slowly; 503, there is no room for it now; 507, it
            cannot be written.
    """
    job.upload_bytes = request.content_length
    files: list[SavedFile] = []
    texts: dict[str, bytes] = {}
    async for part in _parts(serving, request, texts, upload.arrival):
        if len(files) == most:
            raise Refusal(413, f"a request may have {most} files")
        name = _name(part, len(files))
        # The suffix tells a decoder what it may expect, so the name is kept.
        path = folder / f"{len(files):06d}_{safe_name(Path(name).name)}"
        with full_disk_is_refused():
            async with await anyio.open_file(path, "xb") as file:
                async for chunk in serving.bodies.chunks(part, upload.arrival):
                    job.received_bytes += len(chunk)
                    upload.take(len(chunk))
                    await file.write(chunk)
        files.append(SavedFile(name, path))
    if not files:
        raise Refusal(400, f"the form has no part {FILES!r} with a file")
    return files, state_of_form(texts)


async def _parts(
    serving: Serving, request: web.Request, texts: dict[str, bytes], arrival: Arrival
) -> AsyncIterator[BodyPartReader]:
    """Yield the parts that are files; keep the texts that are known, and skip all else."""
    async for part in serving.bodies.parts(request, arrival):
        if part.name == FILES:
            yield part
            continue
        text = bytearray()
        async for chunk in serving.bodies.chunks(part, arrival):
            text += chunk
            if len(text) > _MAX_TEXT_BYTES:
                raise too_large(_MAX_TEXT_BYTES)
        if part.name in _TEXTS:
            texts[part.name] = bytes(text)


def _name(part: BodyPartReader, index: int) -> str:
    return (part.filename or f"file {index}")[:255]
