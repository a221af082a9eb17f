"""Bodies that are kept on disk while they are worked on."""

import errno
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import anyio
import anyio.to_thread

from aiohooks.server.bodies import too_large
from aiohooks.server.refusal import Refusal


@asynccontextmanager
async def kept_on_disk(chunks: AsyncIterable[bytes], *, most: int) -> AsyncIterator[Path]:
    """Write chunks to a file that is gone when the block is left.

    Args:
        chunks: of the content.
        most: bytes that it may have.

    Raises:
        Refusal: 413, there are more; 507, they cannot be written.
    """
    folder = Path(await anyio.to_thread.run_sync(mkdtemp, None, "aiohooks-"))
    path = folder / "upload"
    try:
        await _write(path, chunks, most)
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, folder, True)


async def _write(path: Path, chunks: AsyncIterable[bytes], most: int) -> None:
    size = 0
    with full_disk_is_refused():
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > most:
                    raise too_large(most, "an upload")
                await file.write(chunk)


@contextmanager
def full_disk_is_refused() -> Iterator[None]:
    """Raise a refusal with 507 where there is no room on the disk for what the block writes."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Refusal(507, "there is no room on the disk for this upload") from error
        raise
