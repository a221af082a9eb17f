"""Pictures, videos and readers for the tests of the sources."""

import io
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 96, 64
BITS = 8

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs /proc/self, to list open files and read memory"
)


def smooth_picture(width: int = 80, height: int = 60) -> NDArray[np.uint8]:
    """An RGB picture without edges, so that lossy formats stay close to it, and without any symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 3, y * 4, (x + y) % 256], axis=-1).astype(np.uint8)


def encode(pixels: NDArray[Any] | Image.Image, picture_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def numbered_picture(number: int) -> NDArray[np.uint8]:
    """A picture that shows a number in bars, which survive lossy video."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    bar = WIDTH // BITS
    for bit in range(BITS):
        if number >> bit & 1:
            pixels[:, bit * bar : (bit + 1) * bar] = 255
    return pixels


def number_of(pixels: NDArray[np.uint8]) -> int:
    bar = WIDTH // BITS
    centre = pixels[HEIGHT // 3 : -HEIGHT // 3]
    return sum(1 << bit for bit in range(BITS) if centre[:, bit * bar + 3 : (bit + 1) * bar - 3].mean() > 127)


def write_video(path: Path, frames: int, *, codec: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 30.0, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(numbered_picture(number))
    writer.release()
    return path


def part(content: bytes) -> bytes:
    header = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    return header % len(content) + content + b"\r\n"


class Camera:
    """A camera that serves what `serve_camera` was told to, and knows when its viewer has left."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.viewer_left = anyio.Event()
        self.requests: list[web.BaseRequest] = []


Show = Callable[[web.StreamResponse], Awaitable[None]]


@asynccontextmanager
async def serve_camera(
    show: Show, *, status: int = 200, headers: dict[str, str] | None = None
) -> AsyncIterator[Camera]:
    """Serve Motion JPEG on loopback; ``show`` writes the body."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        camera.requests.append(request)
        all_headers = {"Content-Type": "multipart/x-mixed-replace; boundary=frame"} | (headers or {})
        response = web.StreamResponse(status=status, headers=all_headers)
        await response.prepare(request)
        try:
            await show(response)
        except ConnectionError:
            pass
        finally:
            camera.viewer_left.set()
        return response

    runner = web.ServerRunner(web.Server(handle, handler_cancellation=True), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    camera = Camera("http://{}:{}/video".format(*runner.addresses[0]))
    try:
        yield camera
    finally:
        with anyio.move_on_after(5, shield=True):
            await runner.cleanup()


def source_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("aiohooks-")]


def join_source_threads() -> None:
    for thread in source_threads():
        thread.join(timeout=30)
    assert source_threads() == []


def files_open_in(folder: Path) -> list[str]:
    assert sys.platform == "linux"
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return [target for target in targets if target.startswith(str(folder))]
