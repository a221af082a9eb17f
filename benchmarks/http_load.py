"""A client that costs little: so many connections, each with one request under way, over plain sockets."""

import asyncio
from collections.abc import Sequence


class _Connection(asyncio.Protocol):
    def __init__(self, load: "HttpLoad") -> None:
        self._load = load
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._load.fail(RuntimeError(f"the server closed a connection: {exc}"))

    def next_request(self) -> None:
        assert self._transport is not None
        message = self._load.take()
        if message is not None:
            self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        start = head.lower()
        length = int(start.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        if not head.startswith(b"HTTP/1.1 200"):
            self._load.fail(RuntimeError((head + body)[:500].decode(errors="replace")))
            return
        self._load.answered()
        self.next_request()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class HttpLoad:
    """Sends messages in turn over connections that stay open.

    Args:
        port: of the server.
        messages: whole requests.
        connections: how many, each with one request under way.
    """

    def __init__(self, port: int, messages: Sequence[bytes], connections: int) -> None:
        self._port = port
        self._messages = messages
        self._count = connections
        self._connections: list[_Connection] = []
        self._left = self._waiting = self._next = 0
        self._done: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "HttpLoad":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def burst(self, count: int) -> float:
        """Have so many requests answered; returns the seconds that took, without those to connect."""
        loop = asyncio.get_running_loop()
        # New ones, because some servers close what was idle for some seconds.
        self._close()
        for _ in range(self._count):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
            self._connections.append(connection)
        self._left = self._waiting = count
        self._done = loop.create_future()
        started = loop.time()
        for connection in self._connections:
            connection.next_request()
        await self._done
        self._done = None
        return loop.time() - started

    def _close(self) -> None:
        self._done = None
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def take(self) -> bytes | None:
        if not self._left:
            return None
        self._left -= 1
        self._next += 1
        return self._messages[self._next % len(self._messages)]

    def answered(self) -> None:
        self._waiting -= 1
        if not self._waiting and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
