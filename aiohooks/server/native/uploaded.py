"""Frames from the pictures that a client sends one after the other."""

from collections import deque
from email import message_from_bytes
from email.policy import compat32
from pathlib import PurePath
from typing import Self
from urllib.parse import unquote

import anyio
from aiohttp import WSMsgType, web

from aiohooks import sources
from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.server.arrival import Arrival
from aiohooks.server.limits import Limits
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Serving
from aiohooks.sources.multipart import MultipartError, MultipartParser, boundary_of

NAME_CHARACTERS = 200
"""A picture's name is cut after so many."""


class FormFrames:
    """The pictures in the parts of a multipart body, each read as soon as it is whole.

    Args:
        request: with the form.
        serving: whose limits hold.

    Raises:
        Refusal: 415, the body is not multipart.
    """

    def __init__(self, request: web.Request, serving: Serving) -> None:
        boundary = boundary_of(request.headers.get("Content-Type", ""))
        if not boundary:
            raise Refusal(415, "expected pictures in a multipart body, or a video with its type video/…")
        self._request = request
        self._serving = serving
        # aiohttp's reader gives a part only when the next one has begun to arrive.
        self._parser = MultipartParser(boundary, max_part_bytes=serving.limits.message_bytes)
        self._sizes: deque[int] = deque()
        self._index = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        data = await self._next_part()
        index = self._index
        self._index += 1
        self._sizes.append(len(data))
        self._serving.bodies.take(self._request, len(data), is_bounded=False)
        return await decoded(data, index, name_of(file_name(self._parser.header)), self._serving.limits.pixels)

    def let_go(self) -> None:
        """Count the memory of the first picture that has not been let go as free."""
        self._serving.bodies.let_go(self._request, self._sizes.popleft())

    async def _next_part(self) -> bytes:
        arrival = Arrival(self._serving.limits.idle_seconds)  # of each picture: the form may go on for ever
        try:
            while (part := self._parser.next_part()) is None:
                if self._parser.ended:
                    if not self._index:
                        raise Refusal(400, "there is no part in the multipart body; is its boundary the right one?")
                    raise StopAsyncIteration
                chunk = await arrival.wait(self._request.content.readany())
                arrival.came(len(chunk))
                self._parser.feed(chunk)
        except MultipartError as error:
            raise Refusal(400, f"the multipart body is malformed: {error}") from error
        return part


class LiveFrames:
    """The pictures in the binary messages of a WebSocket, read as they are asked for.

    Args:
        socket: accepted.
        limits: of a picture, and of the time until the next one.
    """

    def __init__(self, socket: web.WebSocketResponse, limits: Limits) -> None:
        self._socket = socket
        self._limits = limits
        self._index = 0
        self._ended = False
        self._reading: anyio.CancelScope | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        data = await self._receive()
        index = self._index
        self._index += 1
        if data is None:
            raise FrameError(f"message {index}: expected an encoded picture as a binary message, got text")
        return await decoded(data, index, "", self._limits.pixels)

    def end(self) -> None:
        """Take no more messages."""
        self._ended = True
        if self._reading is not None:
            self._reading.cancel()

    async def _receive(self) -> bytes | None:
        """Return the next message; None if it is text.

        Raises:
            Refusal: 408, none came in the time that there is for one.
        """
        if not self._ended:
            seconds = self._limits.idle_seconds
            with anyio.move_on_after(seconds) as self._reading:
                message = await self._socket.receive()
            is_idle = self._reading.cancelled_caught and not self._ended
            self._reading = None
            if is_idle:
                raise Refusal(408, f"no message came in {seconds:g} s")
            if not self._ended:
                match message.type:
                    case WSMsgType.BINARY:
                        data: bytes = message.data
                        return data
                    case WSMsgType.TEXT:
                        return None
        self._ended = True
        raise StopAsyncIteration


async def decoded(data: bytes, index: int, name: str, max_pixels: int) -> Frame:
    """Return an encoded picture as a frame, decoded in a worker thread.

    Raises:
        FrameError: it is not a picture that can be read.
    """
    return await sources.as_frame(data, index=index, name=name or f"picture {index}", max_pixels=max_pixels)


def name_of(given: str | None) -> str:
    """Return the name that a client gives a picture, without folders and what cannot be printed; may be empty.

    Some clients encode it as in a URL (RFC 7578, section 2).
    """
    name = PurePath(unquote(given or "").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:NAME_CHARACTERS]


def file_name(header: bytes) -> str | None:
    """Return the name of the file that the header of a part tells."""
    return message_from_bytes(header.lstrip(), policy=compat32).get_filename()
