"""An HTTP server over plain TCP that fails in the ways that servers do. As a program: one with random faults, until killed.

    python faulty_server.py SEED FILE

prints its port, and appends a line to FILE for each body that arrived whole: its key, and whether it was answered with success.
"""

import asyncio
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal, TextIO

Fault = Literal[
    "ok", "slow", "500", "503", "429", "422", "hang", "half-close", "half-answer", "garbage", "reset", "reset early"
]
SLOW_SECONDS = 0.1
_ANSWERS = {"ok": "200 OK", "500": "500 Oh", "503": "503 Down", "429": "429 Slower", "422": "422 No"}


class FaultyServer:
    """Counts the keys of what it got.

    Attributes:
        received: keys whose body arrived whole.
        accepted: of these, those that it answered with success.
        order: the accepted ones, in order.
        faults: what to do with each request, in turn; "ok" after the last.
        headers: put into each answer.
        requests: how many there were.
    """

    def __init__(self, faults: list[Fault] | Callable[[], Fault] = lambda: "ok") -> None:
        self.received: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.order: list[str] = []
        self.bodies: list[bytes] = []
        self.headers = ""
        self.requests = 0
        self.on_received: Callable[[str, bool], None] = lambda _key, _accepted: None
        self.url = ""
        self._left = iter(faults) if isinstance(faults, list) else None
        self._choose = faults if callable(faults) else (lambda: "ok")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyServer"]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.requests += 1
        fault: Fault = next(self._left, "ok") if self._left is not None else self._choose()
        if fault == "reset early":
            _reset(writer)
            return False
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        key = fields.get("idempotency-key", "")
        is_accepted = fault in ("ok", "slow")
        self.received[key] += 1
        if is_accepted:
            self.accepted[key] += 1
            self.order.append(key)
            self.bodies.append(body)
        self.on_received(key, is_accepted)
        match fault:
            case "hang":
                await reader.read()  # until the client gives up
                return False
            case "reset":
                _reset(writer)
                return False
            case "half-close":
                writer.write_eof()
                await reader.read()
                return False
            case "half-answer":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")
                return False
            case "garbage":
                writer.write(b"\x00\x01 what? \r\n\r\n")
                return False
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
        status = _ANSWERS["ok" if fault == "slow" else fault]
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n{self.headers}\r\nhi".encode())
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    # Lingering for no time makes closing a reset (man 7 socket).
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main(seed: int, file: TextIO) -> None:
    chance = random.Random(seed)
    faults: list[Fault] = [
        "slow",
        "500",
        "503",
        "429",
        "hang",
        "half-close",
        "half-answer",
        "garbage",
        "reset",
        "reset early",
    ]

    def choose() -> Fault:
        return chance.choice(faults) if chance.random() < 0.25 else "ok"

    server = FaultyServer(choose)
    server.on_received = lambda key, is_accepted: print(key, int(is_accepted), file=file)
    async with server.running():
        print(server.url, flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", buffering=1) as log:
        asyncio.run(main(int(sys.argv[1]), log))
