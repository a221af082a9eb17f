"""Bodies that are kept on disk while they are worked on."""

import errno
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import anyio
import anyio.to_thread

from aiohooks.server.arrival import Arrival
from aiohooks.server.bodies import too_large
from aiohooks.server.limits import Limits
from aiohooks.server.refusal import Refusal


class Uploads:
    """The disk that uploads share: none is kept that does not fit.

    Args:
        limits: of one upload, and of all together.

    Attributes:
        held_bytes: of all that are kept now.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held_bytes = 0

    @contextmanager
    def begin(self) -> Iterator["Upload"]:
        """Give an upload, which is kept for as long as the block takes."""
        upload = Upload(self, self._limits)
        try:
            yield upload
        finally:
            self.held_bytes -= upload.held_bytes

    def take(self, count: int) -> None:
        """Count bytes that are kept from now on.

        Raises:
            Refusal: 503, there is no room for them now.
        """
        self.held_bytes += count
        if self.held_bytes > self._limits.uploads_bytes:
            raise Refusal(503, "other uploads take all the room there is for them; come back later", retry_after=5)


class Upload:
    """One body that is kept on disk.

    Attributes:
        held_bytes: of it, so far.
        arrival: the time that it has.
    """

    def __init__(self, uploads: Uploads, limits: Limits) -> None:
        self._uploads = uploads
        self._most = limits.upload_bytes
        self.held_bytes = 0
        self.arrival = Arrival(limits.upload_seconds, patience=limits.body_seconds, rate=limits.upload_rate)

    def take(self, count: int) -> None:
        """Count bytes that are about to be written.

        Raises:
            Refusal: 413, it has too many; 503, all uploads together have.
        """
        self.held_bytes += count
        self._uploads.take(count)
        if self.held_bytes > self._most:
            raise too_large(self._most, "an upload")


@asynccontextmanager
async def kept_on_disk(chunks: AsyncIterable[bytes], upload: Upload) -> AsyncIterator[Path]:
    """Write chunks to a file that is gone when the block is left.

    Args:
        chunks: of the content.
        upload: it is told of them.

    Raises:
        Refusal: as `Upload.take`; 507, they cannot be written.
    """
    folder = Path(await anyio.to_thread.run_sync(mkdtemp, None, "aiohooks-"))
    path = folder / "upload"
    try:
        with full_disk_is_refused():
            async with await anyio.open_file(path, "wb") as file:
                async for chunk in chunks:
                    upload.take(len(chunk))
                    await file.write(chunk)
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, folder, True)


@contextmanager
def full_disk_is_refused() -> Iterator[None]:
    """Raise a refusal with 507 where there is no room on the disk for what the block writes."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Refusal(507, "there is no room on the disk for this upload") from error
        raise
