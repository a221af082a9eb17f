"""An HTTP server in a process of its own that takes its time for each answer, and counts them: what hooks send to.

It shares the processors with those who are measured, so it does as little as it can.
"""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio.to_thread

SECONDS = 0.02
COUNTS = "/counts"


@dataclass(frozen=True)
class SlowServer:
    """One that runs.

    Attributes:
        url: any path below it can be sent to.
    """

    url: str

    def answered(self, path: str) -> int:
        """Return how many requests to a path it has answered."""
        with urllib.request.urlopen(self.url + COUNTS) as answer:
            return json.load(answer).get(path, 0)


@contextmanager
def running() -> Iterator[SlowServer]:
    """Run one until the context ends."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield SlowServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        process.communicate()


class SlowAnswers(asyncio.Protocol):
    """One connection, of requests that come one after the other; HTTP is read no further than that needs."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        _, _, after = head.lower().partition(b"\r\ncontent-length:")
        if len(body) < int(after.partition(b"\r\n")[0] or 0):
            return
        self._received = b""
        path = head.split(b" ", 2)[1].decode()
        if path == COUNTS:
            self._answer(json.dumps(self._counts).encode())
        else:
            asyncio.get_running_loop().call_later(SECONDS, self._answer_late, path)

    def _answer_late(self, path: str) -> None:
        self._counts[path] += 1
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def serve() -> None:
    """Answer until standard input ends."""
    counts: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: SlowAnswers(counts), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await anyio.to_thread.run_sync(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
