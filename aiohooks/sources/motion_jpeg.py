"""Frames from a Motion-JPEG stream over HTTP, as network cameras serve it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.convert import decoding_threads, to_frame
from aiohooks.sources.multipart import MultipartError, MultipartParser, boundary_of
from aiohooks.sources.source import MAX_PIXELS, FrameSource, name_of_url

if TYPE_CHECKING:
    from aiohttp import StreamReader

CLOSE_SECONDS = 5.0
"""How long closing the connection may take."""


def mjpeg(
    url: str,
    *,
    timeout: float = 10.0,
    headers: Mapping[str, str] | None = None,
    max_frame_bytes: int = 16 * 1024 * 1024,
    max_pixels: int = MAX_PIXELS,
) -> FrameSource:
    """Return the frames of an HTTP stream of type ``multipart/x-mixed-replace``.

    Every frame is given, with the bytes it came as. A slow reader slows the server down; for always the newest
    frame see `camera`, which takes the same URL.

    Args:
        url: ``http://`` or ``https://``, with user and password if need be.
        timeout: seconds to wait for the connection and its first frame, and for each frame after it.
        headers: of the request, such as ``Authorization``.
        max_frame_bytes: refuse a larger encoded frame.
        max_pixels: refuse a frame whose header announces more pixels.

    Raises:
        ValueError: it is not such a URL.
        FrameError: in place of a frame that cannot be decoded, and the next one follows; or if the server cannot be
            reached, answers with something else, breaks off or is silent too long, and iteration ends there.
    """
    name = name_of_url(url)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"mjpeg takes an http:// or https:// URL, got {name}; camera takes others")

    def begin(_: FrameSource) -> _MjpegFrames:
        return _MjpegFrames(name, partial(_connect, url, name, headers, max_frame_bytes), timeout, max_pixels)

    return FrameSource(name, begin, successive=True)


@asynccontextmanager
async def _connect(
    url: str, name: str, headers: Mapping[str, str] | None, max_frame_bytes: int
) -> "AsyncIterator[tuple[StreamReader, MultipartParser]]":
    """Request the stream, and yield its bytes with the parser that cuts them into parts.

    As a generator it is closed by the event loop, and the connection with it, when a loop over the frames was
    left by ``break``.
    """
    import aiohttp

    unlimited = aiohttp.ClientTimeout()  # whoever waits for a frame has a limit of its own
    async with aiohttp.ClientSession(timeout=unlimited, headers=headers) as session, session.get(url) as response:
        if response.status != 200:
            raise FrameError(f"{name}: the server answered {response.status} {response.reason}")
        content_type = response.headers.get("Content-Type", "")
        boundary = boundary_of(content_type)
        if not boundary:
            raise FrameError(f"{name}: expected multipart/x-mixed-replace with a boundary, got {content_type!r}")
        yield response.content, MultipartParser(boundary, max_part_bytes=max_frame_bytes)


_Connection = AbstractAsyncContextManager["tuple[StreamReader, MultipartParser]"]


class _MjpegFrames:
    """The frames of one connection, which is opened with the first frame."""

    def __init__(self, name: str, connect: Callable[[], _Connection], timeout: float, max_pixels: int) -> None:
        self._name = name
        self._connect = connect
        self._timeout = timeout
        self._max_pixels = max_pixels
        self._connection: _Connection | None = None
        self._stream: tuple[StreamReader, MultipartParser] | None = None
        self._encoded: bytes | None = None  # a frame that was received and not yet returned
        self._index = 0
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        if self._encoded is None and not self._ended:
            self._encoded = await self._receive_or_end()
        if self._encoded is None:
            raise StopAsyncIteration
        try:
            frame = await anyio.to_thread.run_sync(self._decode, self._encoded, self._index, limiter=decoding_threads())
        except FrameError:
            self._go_on()
            raise
        self._go_on()
        return frame

    def _decode(self, encoded: bytes, index: int) -> Frame:
        return to_frame(encoded, index, name=self._name, max_pixels=self._max_pixels)

    def _go_on(self) -> None:
        self._encoded = None
        self._index += 1

    async def aclose(self) -> None:
        """Close the connection."""
        self._ended = True
        self._encoded = self._stream = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await connection.__aexit__(None, None, None)

    async def _receive_or_end(self) -> bytes | None:
        """Return the bytes of the next frame; after the last one, and after a failure, close."""
        import aiohttp

        try:
            with anyio.fail_after(self._timeout):
                encoded = await self._receive()
        except (aiohttp.ClientError, OSError, MultipartError, FrameError) as error:
            await self.aclose()
            raise self._failure(error) from None
        if encoded is None:
            await self.aclose()
        return encoded

    def _failure(self, error: Exception) -> FrameError:
        match error:
            case FrameError():
                return error
            case TimeoutError():
                return FrameError(f"{self._name}: no frame {self._index} within {self._timeout} s")
            case MultipartError():
                return FrameError(f"{self._name}: frame {self._index}: {error}")
            case OSError():
                return FrameError(f"{self._name}: the connection failed: {error}")
            case _:  # its message may hold the URL, and so a password
                return FrameError(f"{self._name}: the connection failed: {type(error).__name__}")

    async def _receive(self) -> bytes | None:
        if self._stream is None:
            connection = self._connect()
            self._stream = await connection.__aenter__()
            self._connection = connection
        content, parser = self._stream
        while (part := parser.next_part()) is None and not parser.ended:
            parser.feed(await content.readany())
        return part
