"""Bodies of requests, read within bounds."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
from aiohttp import BodyPartReader, web

from aiohooks.server.arrival import Arrival
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
        most = self._limits.body_bytes
        if request.content_length is not None and request.content_length > most:
            raise too_large(most)
        chunks: list[bytes] = []
        async for chunk in self.chunks_of(request, self.arrival(request)):
            self.take(request, len(chunk))
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def arrival(self, request: web.Request) -> Arrival:
        """Return the time that a body has from now on which is held in memory: no more than its request."""
        left = exchange_of(request).deadline - anyio.current_time()
        return Arrival(min(self._limits.body_seconds, left))

    async def chunks_of(self, request: web.Request, arrival: Arrival) -> AsyncIterator[bytes]:
        """Yield a body as it comes; nothing of it is kept, and no memory counted.

        Args:
            request: whose body it is.
            arrival: the time that it has.

        Raises:
            Refusal: 408, it comes too slowly.
        """
        while chunk := await arrival.wait(request.content.readany()):
            arrival.came(len(chunk))
            yield chunk

    async def parts(self, request: web.Request, arrival: Arrival) -> AsyncIterator[BodyPartReader]:
        """Yield the parts of a form, each of which is read or skipped before the next.

        Args:
            request: whose body the form is.
            arrival: the time that it has.

        Raises:
            Refusal: 415, it is not such a form; 400, it is malformed; 413, it has too many parts; 408, it comes too slowly.
        """
        if not request.content_type.startswith("multipart/"):
            raise Refusal(415, f"expected a multipart form, got {request.content_type}")
        count = 0
        with _malformed_is_refused():
            reader = await request.multipart()
        while True:
            with _malformed_is_refused():
                part = await arrival.wait(reader.next())
            if part is None:
                return
            count += 1
            if count > self._limits.fields:
                raise Refusal(413, f"a form may have {self._limits.fields} parts")
            if not isinstance(part, BodyPartReader):
                raise Refusal(400, "a form inside a form is not taken")
            yield part

    async def chunks(self, part: BodyPartReader, arrival: Arrival) -> AsyncIterator[bytes]:
        """Yield the content of a part as it comes; nothing of it is kept, and no memory counted.

        Args:
            part: of a form.
            arrival: the time that the form has.

        Raises:
            Refusal: 408, it comes too slowly; 415, it is encoded for itself; 400, it is malformed.
        """
        encoding = part.headers.get("Content-Encoding", "identity").lower()
        transfer = part.headers.get("Content-Transfer-Encoding", "binary").lower()
        if encoding != "identity" or transfer not in ("binary", "8bit", "7bit"):
            raise Refusal(415, "the parts of a form must not be encoded one by one; compress the whole body instead")
        while True:
            with _malformed_is_refused():
                chunk = await arrival.wait(part.read_chunk(_CHUNK_BYTES))
            if not chunk:
                return
            arrival.came(len(chunk))
            yield chunk

    async def read_part(self, request: web.Request, part: BodyPartReader, arrival: Arrival) -> bytes:
        """Return the content of a part; its memory is counted until the request has been answered.

        Raises:
            Refusal: as `read`, and as `chunks`.
        """
        chunks: list[bytes] = []
        async for chunk in self.chunks(part, arrival):
            self.take(request, len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    def take(self, request: web.Request, count: int, *, is_bounded: bool = True) -> None:
        """Count bytes that a request holds from now on.

        Args:
            request: whose body they are of.
            count: of them.
            is_bounded: all that it holds may be as much as a body.

        Raises:
            Refusal: 413, it holds too many; 503, all requests together do.
        """
        exchange = exchange_of(request)
        exchange.held_bytes += count
        self.held_bytes += count
        if is_bounded and exchange.held_bytes > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        if self.held_bytes > self._limits.buffered_bytes:
            raise _full()

    @contextmanager
    def hold(self, count: int, *, must_fit: bool = True) -> Iterator[None]:
        """Count bytes that are held in the block, and are not of a request's body.

        Args:
            count: of them.
            must_fit: refuse them where there is no memory for them now.

        Raises:
            Refusal: 413, they are more than a body may have; 503, all that is held is too much.
        """
        if count > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes, "a picture")
        self.held_bytes += count
        try:
            if must_fit and self.held_bytes > self._limits.buffered_bytes:
                raise _full()
            yield
        finally:
            self.held_bytes -= count

    def let_go(self, request: web.Request, count: int | None = None) -> None:
        """Count bytes that a request held as free; by default all."""
        exchange = exchange_of(request)
        freed = exchange.held_bytes if count is None else count
        self.held_bytes -= freed
        exchange.held_bytes -= freed


_CHUNK_BYTES = 256 * 1024


@contextmanager
def _malformed_is_refused() -> Iterator[None]:
    try:
        yield
    except (ValueError, AssertionError, LookupError) as error:
        # What aiohttp's parser raises on boundaries and headers that make no sense.
        raise Refusal(400, "the multipart form is malformed or cut off") from error


def _full() -> Refusal:
    return Refusal(503, "the bodies of other requests take all the memory there is for them", retry_after=1)


def too_large(most: int, what: str = "the body") -> Refusal:
    """Return the refusal of what has more than so many bytes."""
    return Refusal(413, f"{what} may have {most} bytes, after decompression")
