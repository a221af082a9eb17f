"""Downloads: files and folders that are whole or not there."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import anyio.from_thread
import anyio.to_thread

from aiohooks.atomic_file import part_of
from aiohooks.atomic_folder import replace_folder
from aiohooks.clients.geti import archive
from aiohooks.clients.geti.answers import Picture
from aiohooks.clients.geti.connection import Connection, Request
from aiohooks.errors import SessionError
from aiohooks.file_name import safe_name
from aiohooks.one_error import one_error

_CHUNK = 1 << 18
_PROJECT_FILE = "project.json"


async def file_to(
    path: Path, connection: Connection, request: Request, *, max_bytes: int, progress: Callable[[int, int], object]
) -> None:
    """Save the answer to a request as a file.

    Args:
        path: of the file.
        connection: to the server.
        request: what to ask.
        max_bytes: largest size to accept.
        progress: called with the bytes received so far, and those to receive in all, 0 if that is not known.

    Raises:
        SessionError: it is larger, cannot be written, or as `Connection.receive`.
    """
    part = Path(part_of(path))
    try:
        await connection.receive(request, partial(_save, part, max_bytes, progress))
        await anyio.Path(part).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.Path(part).unlink(missing_ok=True)


async def pictures_to(
    folder: Path,
    connection: Connection,
    pictures: AsyncGenerator[Picture, None],
    request_for: Callable[[Picture], Awaitable[Request]],
    *,
    concurrency: int,
    max_bytes: int,
    progress: Callable[[int, int], object],
) -> int:
    """Save pictures as ``<name>_<id>.jpg``, but for those that are there by that name.

    Args:
        folder: made if it is missing.
        connection: to the server.
        pictures: the pictures; it is closed.
        request_for: returns what to ask for a picture.
        concurrency: pictures at once.
        max_bytes: largest size of a picture to accept.
        progress: called after each picture, with the numbers of pictures done and known of.

    Returns:
        The number of pictures.

    Raises:
        SessionError: as `file_to`.
    """
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    found = done = 0
    send, receive = anyio.create_memory_object_stream[Picture](concurrency)

    async def download() -> None:
        nonlocal done
        async with receive.clone() as waiting:
            async for picture in waiting:
                path = folder / f"{safe_name(picture.name)}_{safe_name(picture.id)}.jpg"
                if not await anyio.Path(path).exists():
                    request = await request_for(picture)
                    await file_to(path, connection, request, max_bytes=max_bytes, progress=_ignore)
                done += 1
                progress(done, found)

    with one_error():
        async with anyio.create_task_group() as tasks, send, receive:
            for _ in range(max(1, concurrency)):
                tasks.start_soon(download)
            async with aclosing(pictures) as listed:
                async for picture in listed:
                    found += 1
                    await send.send(picture)
    return done


def check_place(target: Path, *, replace: bool) -> None:
    """Check that a deployment may be put here: there is nothing, an empty folder, or a deployment to ``replace``. Blocks.

    Raises:
        SessionError: there is something else, which stays; or the place cannot be read.
    """
    try:
        is_deployment = (target / _PROJECT_FILE).is_file()
        is_taken = any(target.iterdir()) if target.is_dir() else target.exists()
    except OSError as error:
        raise _unwritable(target, error) from error
    if is_taken and not is_deployment:
        raise SessionError(f"{target} is there already and no deployment: name another folder")
    if is_taken and not replace:
        raise SessionError(f"{target} is there already: name another folder, or replace=True")


async def deployment_to(
    target: Path,
    connection: Connection,
    request: Request,
    *,
    replace: bool,
    max_bytes: int,
    progress: Callable[[int, int], object],
) -> None:
    """Save the folder ``deployment`` of the zip that answers a request.

    Args:
        target: path of the folder.
        connection: to the server.
        request: what to ask.
        replace: a deployment in that place may be replaced.
        max_bytes: of the zip, and of what is in it.
        progress: as for `file_to`.

    Raises:
        SessionError: it is no deployment, unsafe to unpack, too large, cannot be written, its place is taken, or as
            `Connection.receive`.
    """
    try:
        # Two system calls, here and not in a thread: nobody can be cancelled between making a folder and knowing of it.
        scratch = _scratch_in(target.parent)
        try:
            await file_to(scratch / "package.zip", connection, request, max_bytes=max_bytes, progress=progress)
            await anyio.to_thread.run_sync(_unpack_and_move, scratch, target, replace, max_bytes)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(shutil.rmtree, scratch, ignore_errors=True))
    except archive.ArchiveError as error:
        raise SessionError(f"{connection.name_of(request)}: the archive cannot be unpacked: {error}") from None
    except OSError as error:
        raise _unwritable(target, error) from error


async def _save(
    path: Path, max_bytes: int, progress: Callable[[int, int], object], answer: aiohttp.ClientResponse
) -> None:
    received, total = 0, answer.content_length or 0
    try:
        async with await anyio.open_file(path, "wb") as file:
            progress(received, total)
            async for chunk in answer.content.iter_chunked(_CHUNK):
                received += len(chunk)
                if received > max_bytes:
                    raise SessionError(f"{answer.url.path} is larger than {max_bytes} bytes: not downloaded")
                await file.write(chunk)
                progress(received, total)
    except aiohttp.ClientError:  # some are OSErrors too
        raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _scratch_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".deployment-", dir=folder))


def _unpack_and_move(scratch: Path, target: Path, replace: bool, max_bytes: int) -> None:
    unpacked = scratch / "unpacked"
    unpacked.mkdir()
    archive.unpack(
        scratch / "package.zip", unpacked, max_bytes=max_bytes, check_cancelled=anyio.from_thread.check_cancelled
    )
    found = unpacked / "deployment"
    if not (found / _PROJECT_FILE).is_file():
        raise archive.ArchiveError(f"it has no deployment/{_PROJECT_FILE}")
    check_place(target, replace=replace)
    replace_folder(found, target)


def _unwritable(path: Path, error: OSError) -> SessionError:
    return SessionError(f"{path} cannot be written: {error}")


def _ignore(*_: object) -> None:
    pass
