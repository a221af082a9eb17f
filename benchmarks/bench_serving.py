"""Serving over HTTP against the same work without HTTP, LitServe and KServe's Python server.

One picture a request, JPEG in and JSON out, over 16 connections that stay open; the client is this process, the servers are others, on
the same cores. LitServe and KServe have environments of their own, in which the model runs on the same OpenVINO, written as one
writes it there. Without HTTP is: bytes decoded, inferred and turned into JSON, 16 at once, in this process.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import alternation
import anyio
import cv2
import models
import msgspec
import options
import tables
from http_load import HttpLoad

from aiohooks import Deployment

HERE = Path(__file__).parent
CONNECTIONS = 16
OURS, BARE = "aiohooks serve", "without HTTP"
BARE_TARGET = 1 / 0.85
START_SECONDS = 120
MISSING = "This benchmark runs {} in an environment of its own: `nox -s bench -- serving` makes one, or set {}."


def raw(path: str, body: bytes, content_type: str, extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def native(jpeg: bytes) -> bytes:
    return raw("/deployments/m/infer", jpeg, "image/jpeg")


def multipart(jpeg: bytes) -> bytes:
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return raw("/predict", start + jpeg + b"\r\n--b--\r\n", "multipart/form-data; boundary=b")


def open_inference(jpeg: bytes) -> bytes:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    return binary_tensor(tensor, len(jpeg).to_bytes(4, "little") + jpeg)


def open_inference_as_numbers(jpeg: bytes) -> bytes:
    """As KServe's server takes it: BYTES that are not text are a mistake to it."""
    return binary_tensor({"name": "image", "shape": [len(jpeg)], "datatype": "UINT8"}, jpeg)


def inference(tensor: dict[str, object]) -> dict[str, object]:
    """Return a request for label and score; KServe's server needs an id, and does not mind what outputs are called."""
    return {"id": "1", "inputs": [tensor], "outputs": [{"name": "label_indices"}, {"name": "scores"}]}


def binary_tensor(tensor: dict[str, object], data: bytes) -> bytes:
    described = tensor | {"parameters": {"binary_data_size": len(data)}}
    head = msgspec.json.encode(inference(described))
    extra = f"Inference-Header-Content-Length: {len(head)}\r\n"
    return raw("/v2/models/m/infer", head + data, "application/octet-stream", extra)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def python_of(name: str, variable: str) -> str:
    python = os.environ.get(variable)
    if not python:
        sys.exit(MISSING.format(name, variable))
    return python


@asynccontextmanager
async def server(command: Sequence[str], port: int) -> AsyncIterator[int]:
    """Run a server until the block is left; enter it when the server accepts connections."""
    # A group of its own, because some servers leave their workers behind.
    process = await anyio.open_process(
        command, stdin=None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE, start_new_session=True
    )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.returncode is not None or time.monotonic() > end:
                    raise RuntimeError(f"{' '.join(command)} does not start") from None
                await anyio.sleep(0.2)
        yield port
    finally:
        with anyio.CancelScope(shield=True):
            process.terminate()
            with anyio.move_on_after(10):
                await process.wait()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def without_http(deployment: Deployment, jpegs: Sequence[bytes]) -> alternation.Burst:
    encode = msgspec.json.Encoder().encode

    async def burst(count: int) -> None:
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                encode((await deployment.infer(jpegs[number % len(jpegs)])).to_geti())

        async with anyio.create_task_group() as tasks:
            for _ in range(CONNECTIONS):
                tasks.start_soon(client)

    return burst


async def main() -> None:
    given = options.parse(__doc__)
    lite0 = (await models.real())[0]
    # Bodies over 64 KB take KServe's server many times as long: these stay below.
    quality = [cv2.IMWRITE_JPEG_QUALITY, 75]
    jpegs = [cv2.imencode(".jpg", picture[..., ::-1], quality)[1].tobytes() for picture in lite0.frames]
    model = str(lite0.source)
    litserve, kserve = python_of("LitServe", "LITSERVE_PYTHON"), python_of("KServe", "KSERVE_PYTHON")
    serving: dict[str, tuple[Callable[[int], list[str]], Callable[[bytes], bytes]]] = {
        OURS: (lambda port: [sys.executable, "-m", "aiohooks", "serve", f"m={model}", "--port", f"{port}", "--access-log", "off"], native),
        "aiohooks, OIP": (lambda port: [sys.executable, "-m", "aiohooks", "serve", f"m={model}", "--port", f"{port}", "--access-log", "off"], open_inference),
        "LitServe": (lambda port: [litserve, "serving_litserve.py", model, f"{port}", "1"], multipart),
        "LitServe, 2 workers": (lambda port: [litserve, "serving_litserve.py", model, f"{port}", "2"], multipart),
        "KServe": (lambda port: [kserve, "serving_kserve.py", model, f"{port}"], open_inference_as_numbers),
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(Deployment.load(lite0.source))
        contenders: dict[str, alternation.Burst] = {BARE: without_http(deployment, jpegs)}
        for name, (command, message) in serving.items():
            port = free_port()
            await stack.enter_async_context(server(command(port), port))
            load = await stack.enter_async_context(HttpLoad(port, [message(jpeg) for jpeg in jpegs], CONNECTIONS))
            contenders[name] = load.burst
        taken = await alternation.alternate(
            contenders, rounds=given.rounds, seconds=1.5 if given.quick else 3.0, least=64
        )
    about = deployment_names(lite0.name)
    rows = [tables.compare(taken, ours=OURS, other=BARE, target=BARE_TARGET, what="JPEG in, JSON out", **about)]
    rows += [
        tables.compare(taken, ours=OURS, other=other, target=1.0, what="JPEG in, JSON out", **about)
        for other in taken
        if other not in (OURS, BARE) and not other.startswith("aiohooks")
    ]
    rows.append(
        tables.compare(taken, ours="aiohooks, OIP", other="KServe", target=1.0, what="the same by OIP", **about)
    )
    tables.show(f"{OURS} ↔ others, {CONNECTIONS} connections", rows)
    print(f"\nof its throughput without HTTP, {OURS} keeps {1 / rows[0].ratio:.2f}")
    tables.save("serving", given.json, rows)


def deployment_names(model: str) -> dict[str, object]:
    return {"model": model, "hint": "THROUGHPUT", "slots": 0}


if __name__ == "__main__":
    asyncio.run(main())
