"""How long a connection to Geti tries on: in virtual time, with answers that are made up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from virtual_clock import run_virtual

from aiohooks.backoff import Backoff
from aiohooks.clients.geti.connection import MAX_BREAKS, Connection, Request
from aiohooks.clients.geti.server import GetiServer
from aiohooks.clients.token import Token
from aiohooks.errors import SessionError

TIMEOUT = 20.0
DOWNLOAD = Request("GET", "package")

Read = Callable[[Any], Awaitable[bytes]]


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Callable[[Read], tuple[bytes | str, float]]:
    """What comes of a download that a function reads: its value or its error, and the seconds that it took."""

    @asynccontextmanager
    async def answer(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(status=200, content_type="application/zip")

    monkeypatch.setattr(aiohttp.ClientSession, "request", answer)

    async def receive(read: Read) -> tuple[bytes | str, float]:
        server = GetiServer("http://127.0.0.1", Token("a test", "secret"))
        connection = Connection(server, max_connections=1, connect_timeout=1, timeout=TIMEOUT, backoff=Backoff())
        began = asyncio.get_running_loop().time()
        try:
            found: bytes | str = await connection.receive(DOWNLOAD, read)
        except SessionError as error:
            found = str(error)
        finally:
            await connection.aclose()
        return found, asyncio.get_running_loop().time() - began

    return lambda read: run_virtual(lambda: receive(read))


class Breaking:
    """An answer that breaks off some times, each after a while in which something came."""

    def __init__(self, breaks: float, seconds: float, error: Exception) -> None:
        self.left = breaks
        self.reads = 0
        self._seconds = seconds
        self._error = error

    async def __call__(self, _: Any) -> bytes:
        self.reads += 1
        if self.left:
            self.left -= 1
            await asyncio.sleep(self._seconds)
            raise self._error
        return b"whole"


def test_a_long_download_survives_several_breaks(received: Callable[[Read], tuple[bytes | str, float]]) -> None:
    read = Breaking(MAX_BREAKS, 10 * TIMEOUT, aiohttp.ClientPayloadError("broken off"))
    found, seconds = received(read)
    assert found == b"whole"
    assert seconds > MAX_BREAKS * 10 * TIMEOUT


def test_a_download_that_breaks_every_time_ends(received: Callable[[Read], tuple[bytes | str, float]]) -> None:
    read = Breaking(float("inf"), 10 * TIMEOUT, aiohttp.ClientPayloadError("broken off"))
    found, _ = received(read)
    assert f"the connection failed: broken off (after {MAX_BREAKS} retries in " in str(found)
    assert read.reads == 1 + MAX_BREAKS


def test_a_download_that_falls_silent_is_given_up(received: Callable[[Read], tuple[bytes | str, float]]) -> None:
    read = Breaking(float("inf"), TIMEOUT, aiohttp.SocketTimeoutError("silent"))
    found, seconds = received(read)
    assert "the connection failed: silent" in str(found)
    assert seconds < 3 * TIMEOUT
