"""The command line, called and as a process, and what it works on."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ALWAYS = {"type": "AlwaysTrigger"}


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[:, :, ::-1])
    return path


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float = 30.0) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    assert writer.isOpened()
    for pixels in frames:
        writer.write(pixels[:, :, ::-1].copy())
    writer.release()
    return path


def read_video(path: Path) -> tuple[float, list[NDArray[np.uint8]]]:
    """Frames per second, and the frames as RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1][:, :, ::-1])
    return capture.get(cv2.CAP_PROP_FPS), frames


def write_hooks(path: Path, *hooks: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"version": 1, "hooks": hooks}), encoding="utf-8")
    return path


def start(*arguments: object, folder: Path, shell: str = "", **options: Any) -> subprocess.Popen[str]:
    """Start the command as a process.

    Args:
        arguments: of the command.
        folder: where it runs.
        shell: what a shell does before it becomes the command.
        options: of the process.
    """
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "aiohooks", *map(str, arguments)]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    heeded = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process inherits that a signal is ignored
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        )
    finally:
        signal.signal(signal.SIGINT, heeded)


class Collector:
    """An HTTP server that takes what hooks send, once it is told to answer.

    Attributes:
        asked: set when the first request is there.
        answers: set it to let requests be answered.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/"
        self.asked = threading.Event()
        self.answers = threading.Event()

    def hook(self, **options: Any) -> dict[str, Any]:
        """A hook that sends it every frame."""
        action = {"type": "HttpRequestAction", "url": self.url, "method": "POST"}
        return {"name": "collect", "trigger": ALWAYS, "action": action} | options


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collecting.asked.set()
            collecting.answers.wait()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # who asked has gone
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.request_queue_size = 128
        collecting = Collector(server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collecting
        finally:
            collecting.answers.set()
            server.shutdown()
            thread.join()
