"""Many requests to a server over plain sockets, of which some clients do not wait for the answer."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import anyio


def request(path: str, body: bytes, *, close: bool = True) -> bytes:
    kind = "close" if close else "keep-alive"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Return the status of an answer and whether the connection stays open; status 0 if it broke off."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        await reader.readexactly(int(fields[b"content-length"]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, False
    return int(head.split(b" ", 2)[1]), fields.get(b"connection") != b"close"


async def leaving(port: int, path: str, body: bytes, count: int, *, seed: int, at_once: int = 32) -> Counter[str]:
    """Send requests, each over its own connection; count those that were "sent" whole, "answered" with 200, "refused", and "left"."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    numbers = iter(range(count))

    async def client() -> None:
        for _ in numbers:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                message = request(path, body)
                match chance.randrange(5):
                    case 0:  # in the middle of the request
                        writer.write(message[: chance.randrange(len(message))])
                        await writer.drain()
                        counts["left early"] += 1
                    case 1:  # while it is answered
                        writer.write(message)
                        counts["sent"] += 1
                        await anyio.sleep(chance.random() * 0.02)
                        counts["left"] += 1
                    case _:
                        writer.write(message)
                        counts["sent"] += 1
                        status, _ = await read_answer(reader)
                        counts[{200: "answered", 503: "refused"}.get(status, "broken")] += 1
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(client)
    return counts


async def until_it_ends(
    port: int, path: str, body: bytes, at_once: int, *, enough: int, has_enough: anyio.Event
) -> Counter[str]:
    """Ask over connections that stay open until the server closes them and takes no more; count how requests ended.

    "broken" are those that were sent over an open connection and had no answer. The event is set once so many have been answered.
    """
    counts: Counter[str] = Counter()

    async def client() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                counts["not accepted"] += 1
                return
            stays = True
            while stays:
                writer.write(request(path, body, close=False))
                status, stays = await read_answer(reader)
                counts[str(status) if status else "broken"] += 1
                if counts["200"] == enough:
                    has_enough.set()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(client)
    return counts
