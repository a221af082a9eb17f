"""Bodies of requests, read within bounds."""

from collections.abc import AsyncIterator

import anyio
from aiohttp import BodyPartReader, web
from aiohttp.multipart import MultipartReader

from aiohooks.server.exchange import exchange_of
from aiohooks.server.limits import Limits
from aiohooks.server.refusal import Refusal


class BodyMemory:
    """The memory that bodies share: none is read that does not fit.

    Args:
        limits: of one body, and of all together.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held_bytes = 0

    async def read(self, request: web.Request) -> bytes:
        """Return the body of a request, decompressed; its memory is counted until the request has been answered.

        Raises:
            Refusal: 413, it is too large; 408, it comes too slowly; 503, other bodies take all the memory there is.
        """
        self._check_length(request, self._limits.body_bytes)
        chunks: list[bytes] = []
        try:
            with anyio.fail_after(self._limits.body_seconds):
                while chunk := await request.content.readany():
                    self.take(request, len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            raise too_slow(self._limits.body_seconds) from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def parts(self, request: web.Request) -> AsyncIterator[BodyPartReader]:
        """Yield the parts of a form, each of which is read or skipped before the next.

        Raises:
            Refusal: 400, it is not such a form; 413, it has too many parts; 408, it comes too slowly.
        """
        if not request.content_type.startswith("multipart/"):
            raise Refusal(400, f"expected a multipart form, got {request.content_type}")
        try:
            reader = await request.multipart()
            count = 0
            while (part := await self._next_part(reader)) is not None:
                count += 1
                if count > self._limits.fields:
                    raise Refusal(413, f"a form may have {self._limits.fields} parts")
                if not isinstance(part, BodyPartReader):
                    raise Refusal(400, "a form inside a form is not taken")
                yield part
        except (ValueError, AssertionError, RuntimeError, LookupError) as error:
            # What aiohttp's parser raises on boundaries and headers that make no sense.
            raise Refusal(400, "the multipart form is malformed") from error

    async def read_part(self, request: web.Request, part: BodyPartReader) -> bytes:
        """Return the content of a part; its memory is counted until the request has been answered.

        Raises:
            Refusal: as `read`.
        """
        chunks: list[bytes] = []
        async for chunk in self.chunks(part):
            self.take(request, len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    async def chunks(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        """Yield the content of a part as it comes; nothing of it is kept, or counted.

        Raises:
            Refusal: 408, it comes too slowly; 415, it is compressed for itself.
        """
        if part.headers.get("Content-Encoding", "identity") != "identity" or part.headers.get(
            "Content-Transfer-Encoding", "binary"
        ).lower() not in ("binary", "8bit", "7bit"):
            raise Refusal(415, "the parts of a form must not be encoded one by one; compress the whole body instead")
        while True:
            try:
                with anyio.fail_after(self._limits.body_seconds):
                    chunk = await part.read_chunk(_CHUNK_BYTES)
            except TimeoutError:
                raise too_slow(self._limits.body_seconds) from None
            if not chunk:
                return
            yield chunk

    def take(self, request: web.Request, count: int) -> None:
        """Count bytes that a request holds from now on.

        Raises:
            Refusal: 413, it holds too many; 503, all requests together do.
        """
        exchange = exchange_of(request)
        exchange.held_bytes += count
        self.held_bytes += count
        if exchange.held_bytes > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        if self.held_bytes > self._limits.buffered_bytes:
            raise Refusal(503, "the bodies of other requests take all the memory there is for them", retry_after=1)

    def let_go(self, request: web.Request) -> None:
        """Count what a request held as free."""
        exchange = exchange_of(request)
        self.held_bytes -= exchange.held_bytes
        exchange.held_bytes = 0

    def _check_length(self, request: web.Request, most: int) -> None:
        if request.content_length is not None and request.content_length > most:
            raise too_large(most)

    async def _next_part(self, reader: MultipartReader) -> BodyPartReader | MultipartReader | None:
        try:
            with anyio.fail_after(self._limits.body_seconds):
                return await reader.next()
        except TimeoutError:
            raise too_slow(self._limits.body_seconds) from None


_CHUNK_BYTES = 256 * 1024


def too_large(most: int) -> Refusal:
    """Return the refusal of a body with more than so many bytes."""
    return Refusal(413, f"the body may have {most} bytes, after decompression")


def too_slow(seconds: float) -> Refusal:
    """Return the refusal of a body that takes more than so many seconds."""
    return Refusal(408, f"the body did not arrive within {seconds:g} s")
