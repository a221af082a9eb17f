"""``aiohooks serve`` in a process of its own, and bytes to and from it."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class ServerProcess:
    """A server that runs: where it listens and what it says."""

    def __init__(self, process: subprocess.Popen[str], port: int, said: list[str]) -> None:
        self.process = process
        self.port = port
        self.said = said

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def raw(self, sent: bytes, *, answers: bool = True, timeout: float = 20) -> bytes:
        """Send bytes as they are, and return the start of what comes back; empty if it just closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            try:
                connection.sendall(sent)
                return connection.recv(65536) if answers else b""
            except (ConnectionError, TimeoutError):
                return b""

    def reset_peak(self) -> int:
        """Forget the most memory that it has had, and return what it has now, in MB."""
        folder = Path("/proc") / str(self.process.pid)
        (folder / "clear_refs").write_text("5")
        return self._memory("VmRSS")

    @property
    def peak(self) -> int:
        """The most memory that it has had, in MB."""
        return self._memory("VmHWM")

    def _memory(self, field: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) // 1024

    def end(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def serving(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Iterator[ServerProcess]:
    command = [sys.executable, "-m", "aiohooks", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    assert process.stderr is not None
    said: list[str] = []
    lines = process.stderr
    port = 0
    for line in lines:
        said.append(line)
        if found := re.match(r"serving at http://\S+:(\d+)$", line):
            port = int(found[1])
            break
    reader = threading.Thread(target=lambda: said.extend(lines), daemon=True)
    reader.start()
    try:
        assert port, "".join(said)
        yield ServerProcess(process, port, said)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stderr.close()
