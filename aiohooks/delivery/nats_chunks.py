"""Bodies that are larger than a message may be, in chunks beside the message that stands for them."""

import contextlib
import secrets
from datetime import UTC, datetime, timedelta

import anyio
from nats.js.errors import APIError

from aiohooks.delivery.nats_call import ANSWER
from aiohooks.delivery.nats_coding import MOST_BYTES, joined
from aiohooks.delivery.nats_connection import Connection
from aiohooks.delivery.nats_letter import Letter
from aiohooks.delivery.nats_stream import Stored, WorkStream
from aiohooks.errors import DeliveryError

_CHUNK = 256 * 1024
_HEADROOM = 4096
"""Bytes of a message that are left for its headers, ours and those that the server adds."""

_OVERHEAD = 512
"""Bytes that a message takes in a stream beside its body, at most: its subject, headers and record."""

_ORPHANED = timedelta(hours=1)
"""Age of chunks without a message from which on nobody can be about to store it."""

_APART = "="
"""Stands between a key, in which it cannot be, and what tells the chunks of one attempt to store it from those of others."""


class Chunks:
    """The chunks in the stream of a queue.

    Args:
        connection: says how large a message may be.
        stream: the stream.
    """

    def __init__(self, connection: Connection, stream: WorkStream) -> None:
        self._connection = connection
        self._stream = stream

    @property
    def largest_message(self) -> int:
        """Bytes of a body that needs no chunks."""
        return min(MOST_BYTES, int(self._connection.client.max_payload) - _HEADROOM)

    def room_for(self, nbytes: int) -> int:
        """Return the bytes that a body of that size takes in the stream, at most."""
        return nbytes + _OVERHEAD * (2 + nbytes // self._size)

    def new_parts(self, key: str) -> str:
        """Return a name for chunks: whoever stores the same at the same time, or was stopped while storing it, has chunks of his own."""
        return f"{key}{_APART}{secrets.token_hex(8)}"

    async def store(self, parts: str, body: bytes, patience: float | None) -> int | None:
        """Store a body in chunks.

        Returns:
            Their number; None if there is no room: then others wait for what we have taken of it, as we do for theirs.
        """
        view = memoryview(body)
        size = self._size
        starts = range(0, len(body), size)
        try:
            for number, start in enumerate(starts):
                chunk = bytes(view[start : start + size])
                if await self._stream.publish(self._stream.chunk(parts, number), chunk, None, patience) is Stored.FULL:
                    return None
        except BaseException:
            with contextlib.suppress(DeliveryError, APIError):
                await self.forget_orphan(parts)  # noqa: ASYNC102  # shielded there
            raise
        return len(starts)

    async def body(self, letter: Letter) -> bytes | None:
        """Return the body of a message; None if its chunks are gone."""
        if not letter.chunks:
            return letter.data
        chunks = []
        for number in range(letter.chunks):
            subject = self._stream.chunk(letter.parts, number)
            message = await self._stream.message(subject, direct=True) or await self._stream.message(subject)
            if message is None:
                return None
            chunks.append(message.data or b"")
        body = await joined(chunks)
        return body if len(body) == letter.nbytes else None

    async def forget(self, letter: Letter) -> None:
        """Delete the chunks of a message that is gone."""
        if letter.chunks:
            await self._purge(letter.parts)

    async def forget_orphan(self, parts: str) -> bool:
        """Forget chunks unless there is a message of them; returns whether there is one of their key. What is not done in time is swept later."""
        found = None
        with anyio.move_on_after(ANSWER, shield=True):
            found = await self._stream.find(parts.partition(_APART)[0])
            if found is None or found.parts != parts:
                await self._purge(parts)
        return found is not None

    async def sweep(self) -> None:
        """Forget chunks without a message, left by somebody who was stopped while storing one; not those of the last hour."""
        first_of = {subject.split(".")[-2]: subject for subject in await self._stream.subjects(self._stream.chunks)}
        for parts, subject in first_of.items():
            message = await self._stream.message(subject)
            if message is not None and datetime.now(UTC) - message.time > _ORPHANED:
                await self.forget_orphan(parts)

    @property
    def _size(self) -> int:
        return min(_CHUNK, self.largest_message)

    async def _purge(self, parts: str) -> None:
        await self._stream.purge(self._stream.chunk(parts, "*"))
