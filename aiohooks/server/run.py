"""A server of its own for an application: listening, answering, draining."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from aiohooks.errors import DeploymentError

http_logger = logging.getLogger("aiohooks.server.http")

BACKLOG = 1024
IDLE_SECONDS = 75.0
"""How long a connection may say nothing between two requests, or take for the headers of one."""

ON_ITS_WAY_SECONDS = 0.1
"""How long a request may be on its way when the server ends; there is no event of that."""

LINGERING_SECONDS = 2.0
"""How long the rest of a body that nobody wants is read, so that its sender gets to see the answer."""


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell what failed here from what clients send that is malformed, or that they leave."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


http_logger.addFilter(_is_ours)


@asynccontextmanager
async def serve(
    app: web.Application, host: str = "127.0.0.1", port: int = 0, *, drain_seconds: float = 30.0
) -> AsyncIterator[tuple[str, int]]:
    """Serve an application in the block.

    Leaving it drains: ``/v2/health/ready`` says 503, nothing more is accepted, every request that was accepted is answered, and the
    deployments close after their hooks have finished.

    Args:
        app: what `create_app` returned, or what it is mounted in.
        host: address to listen at.
        port: of TCP; 0 for any that is free.
        drain_seconds: that requests have to end; what is left then is cancelled.

    Yields:
        Address and port that it listens at.

    Raises:
        DeploymentError: it cannot listen there.
        LoadError: a model cannot be loaded.
    """
    runner = _Runner(
        app,
        handler_cancellation=True,
        access_log=None,
        logger=http_logger,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGERING_SECONDS,
        shutdown_timeout=drain_seconds,
    )
    await runner.setup()
    try:
        listener = _listen(host, port)
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        address = listener.getsockname()
        try:
            yield address[0], address[1]
        finally:
            with anyio.CancelScope(shield=True):
                await runner.drain(listener)
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


class _Runner(web.AppRunner):
    """Tells the application that it ends before idle connections close: on one that seems idle, a request may be on its way."""

    _is_told = False

    async def drain(self, listener: socket.socket) -> None:
        """Stop listening, and answer what comes over the connections that there are; each closes with its answer."""
        waiting = _accepted(listener)
        for site in list(self.sites):
            await site.stop()
        await self.shutdown()
        server, loop = self.server, asyncio.get_running_loop()
        assert server is not None
        for connection in waiting:
            connection.setblocking(False)
            await loop.connect_accepted_socket(server, connection)
        if server.connections:
            await anyio.sleep(ON_ITS_WAY_SECONDS)

    async def shutdown(self) -> None:
        """Tell the application, once."""
        if not self._is_told:
            self._is_told = True
            await super().shutdown()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise DeploymentError(f"cannot listen at {host}:{port}: a port is a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        if error.errno == errno.EADDRINUSE:
            reason += "; end what listens there, or choose another port, 0 for any that is free"
        raise DeploymentError(f"cannot listen at {host}:{port}: {reason}") from error
    listener.setblocking(False)
    return listener


def _accepted(listener: socket.socket) -> list[socket.socket]:
    """Take the connections that the system has accepted for us; closing the socket would reset them."""
    connections = []
    while True:
        try:
            connections.append(listener.accept()[0])
        except OSError:
            return connections
