"""What the live page costs: inference while browsers watch, against inference while nobody does, taken in turn.

Two deployments of a small convolutional network infer VGA pictures as fast as they can in the process of the server. The browsers are sockets in
another process on the same machine, which read, and answer, and do nothing else: what a real one draws is the work of another machine.

Beside throughput the processor time of the server for each inference is told: what else the machine does hardly touches it.
"""

import asyncio
import base64
import selectors
import socket
import subprocess
import sys
import time

import alternation
import anyio
import anyio.to_thread
import models
import options
import tables

from aiohooks import AlwaysTrigger, ConfidenceTrigger, Deployment, Frame, LogAction, PostInferenceHook
from aiohooks.server import create_app, serve

NOBODY, ONE, TWENTY = "nobody", "1 browser", "20 browsers"
TARGETS = {ONE: 1 / 0.99, TWENTY: 1 / 0.98}
"""Of its throughput, inference is to keep 0.99 while one browser watches, and 0.98 while twenty do."""

SECONDS, QUICK_SECONDS = 4.0, 1.5
SETTLE_SECONDS = 1.0
"""From the opening or closing of browsers to the measurement: a new one has the server make its first figures and charts."""

_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + base64.b64encode(bytes(16)).decode()
    + "\r\n"
)
_ANSWERS = {0x82: b"\x81\x82\x00\x00\x00\x00ok", 0x89: b"\x8a\x80\x00\x00\x00\x00"}
"""To a picture the text "ok", to a ping a pong, in frames of a client's, masked with zeros (RFC 6455, section 5.2)."""


def browsers(port: int) -> None:
    """Read numbers from standard input, and be so many browsers from each to the next."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    there: list[socket.socket] = []
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return
                for one in there:
                    selector.unregister(one)
                    one.close()
                there = [opened(port, path) for _ in range(int(line)) for path in ("events", "pictures")]
                for number, one in enumerate(there):
                    selector.register(one, selectors.EVENT_READ, bytearray() if number % 2 else None)
                print(len(there), flush=True)
                break  # what else was ready is closed by now
            take(key.fileobj, key.data)


def opened(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    upgrade = _UPGRADE if path == "pictures" else ""
    connection.sendall(f"GET /live/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.split()[1] in (b"101", b"200"), head
    connection.setblocking(False)
    return connection


def take(connection: object, held: bytearray | None) -> None:
    """Read what is there; a whole picture is answered, as the page does, and so is a ping.

    Args:
        connection: that has something.
        held: of a WebSocket, what was read and not understood; None of events.
    """
    assert isinstance(connection, socket.socket)
    data = connection.recv(1 << 18)
    if not data:
        sys.exit("the server has closed a connection")
    if held is None:
        return
    held += data
    while len(held) >= 2:
        size, start = held[1], 2
        if size == 126:
            size, start = int.from_bytes(held[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(held[2:10], "big"), 10
        if len(held) < start + size:
            return
        if held[0] in _ANSWERS:
            connection.sendall(_ANSWERS[held[0]])
        del held[: start + size]


class Audience:
    """Browsers in a process of their own."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, __file__, "browsers", str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._count = 0

    async def be(self, count: int) -> None:
        if count != self._count:
            self._count = count
            await anyio.to_thread.run_sync(self._say, count)
            await anyio.sleep(SETTLE_SECONDS)

    def _say(self, count: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        assert int(self._process.stdout.readline()) == 2 * count

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def working(
    deployments: list[Deployment], audience: Audience, count: int, load: "Load", processor: list[float]
) -> alternation.Burst:
    async def burst(inferences: int) -> float:
        await audience.be(count)
        started, used = time.perf_counter(), time.process_time()
        await load.run(deployments, inferences)
        processor.append((time.process_time() - used) / inferences)
        return time.perf_counter() - started

    return burst


class Load:
    """Inferences as fast as they go."""

    def __init__(self) -> None:
        self._frames = [Frame(image, name=f"{n}", owned=True) for n, image in enumerate(models.noise(models.VGA))]

    async def run(self, deployments: list[Deployment], inferences: int) -> None:
        numbers = iter(range(inferences))

        async def infer() -> None:
            for number in numbers:
                await deployments[number % 2].infer(self._frames[number % len(self._frames)])

        async with anyio.create_task_group() as tasks:
            for _ in range(2 * deployments[0].model.slots):
                tasks.start_soon(infer)


async def main() -> None:
    given = options.parse(__doc__)
    deployments = [Deployment.load(models.convolutional_classifier()) for _ in range(2)]
    for number, deployment in enumerate(deployments):
        deployment.name = f"camera {number}"
        deployment.add_hook(
            PostInferenceHook(
                name="unsure", trigger=ConfidenceTrigger(0.01), action=LogAction(), overflow="drop_newest"
            )
        )
        deployment.add_hook(
            PostInferenceHook(name="every", trigger=AlwaysTrigger(), action=nothing, overflow="drop_newest")
        )
    async with serve(create_app(deployments)) as (_, port):
        audience = Audience(port)
        try:
            processor: dict[str, list[float]] = {NOBODY: [], ONE: [], TWENTY: []}
            contenders = {
                name: working(deployments, audience, count, Load(), processor[name])
                for name, count in ((NOBODY, 0), (ONE, 1), (TWENTY, 20))
            }
            seconds = QUICK_SECONDS if given.quick else SECONDS
            taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=seconds, least=64)
        finally:
            audience.close()
    names = {"model": "two conv nets, VGA", "hint": "THROUGHPUT", "slots": 0}
    processor = {name: used[-given.rounds :] for name, used in processor.items()}  # without the warm-up
    rows = [
        tables.compare(taken, ours=name, other=NOBODY, target=target, what=f"inference, {name}", **names)
        for name, target in TARGETS.items()
    ]
    names["hint"] = "processor time"
    rows += [
        tables.compare(processor, ours=name, other=NOBODY, target=target, what=f"inference, {name}", **names)
        for name, target in TARGETS.items()
    ]
    tables.show("watched ↔ not watched", rows)
    for row in rows:
        print(
            f"{row.what}, {row.hint}: {1 / row.ratio:.4f} of what it is unwatched ({1 / row.spread[1]:.4f}–{1 / row.spread[0]:.4f})"
        )
    tables.save("live", given.json, rows)


async def nothing(_event: object) -> None:
    """Do nothing, as quickly as that can be done."""


if __name__ == "__main__":
    if sys.argv[1:2] == ["browsers"]:
        browsers(int(sys.argv[2]))
    else:
        asyncio.run(main())
