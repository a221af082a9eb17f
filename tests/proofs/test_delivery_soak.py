"""For a minute, what delivers is killed and started again, and the server it delivers to fails in every way: nothing is lost."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from proofs.delivering import MAX_BYTES, PER_SECOND, PICTURE_BYTES

HERE = Path(__file__).parent
ITEMS = 2000
KILLS = 20
SECONDS = ITEMS / PER_SECOND / KILLS  # a life is about as long as a twentieth of the events takes
MEMORY_BYTES = 64 * 1024 * 1024
"""More than when it was ready: pictures in its hands take 3 MB, connections and threads some more."""


@contextmanager
def started(*arguments: str) -> Iterator["tuple[subprocess.Popen[str], str]"]:
    """Start a program and give it with its first line; it is killed in the end."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def memory(pid: int) -> int:
    """Return the bytes that a process has in memory; 0 once it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
    return 0


def disk(folder: Path) -> int:
    """Return the bytes of all files under a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


class Watch:
    """Samples memory and disk of one life."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.at_start = memory(pid)
        self.most_memory = self.most_disk = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(pid, folder))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self, pid: int, folder: Path) -> None:
        while not self._over.wait(0.02):
            self.most_memory = max(self.most_memory, memory(pid))
            self.most_disk = max(self.most_disk, disk(folder))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux tells it")
def test_killed_twenty_times_against_a_server_that_fails_it_loses_nothing(tmp_path: Path) -> None:
    chance = random.Random(5)
    spool, ledger, log = tmp_path / "spool", tmp_path / "ledger", tmp_path / "log"
    most_memory = most_disk = 0
    began = time.monotonic()
    with started(str(HERE.parent / "faulty_server.py"), "5", str(log)) as (_, url):
        for life in range(KILLS + 1):
            program = (str(HERE / "delivering.py"), str(spool), url, str(ledger), str(ITEMS))
            with started(*program) as (process, ready), Watch(process.pid, spool) as watch:
                assert ready == "ready"
                if life < KILLS:
                    time.sleep(SECONDS * chance.uniform(0.4, 1.2))
                    assert process.poll() is None, "it should have had more to do"
                    process.kill()
                else:
                    assert process.wait(120) == 0
                    assert process.stdout is not None
                    last = process.stdout.read().strip()
            most_memory = max(most_memory, watch.most_memory - watch.at_start)
            most_disk = max(most_disk, watch.most_disk)
    seconds = time.monotonic() - began

    accepted = dict(line.split() for line in ledger.read_text().splitlines())
    arrived = [line.split() for line in log.read_text().splitlines()]
    times = Counter(key for key, is_answered in arrived if is_answered == "1")
    lost = set(accepted.values()) - set(times)
    duplicates = {key: count for key, count in times.items() if count > 1}
    unlisted = set(times) - set(accepted.values())
    print(
        f"\n{len(accepted)} items in {seconds:.0f} s, {KILLS} kills, {len(arrived)} requests with their body: {len(lost)} lost, "
        f"{len(duplicates)} delivered more than once, at most {max(times.values())} times, {len(unlisted)} accepted just before a "
        f"kill and shown again; disk at most {most_disk / 1e6:.1f} of {MAX_BYTES / 1e6:.1f} MB, memory {most_memory / 1e6:.1f} MB more than "
        f"at the start\n{last}"
    )
    assert seconds >= 60
    assert len(accepted) == ITEMS
    assert not lost
    # A key is given once: the same key twice is the same event. What was accepted but not yet noted when a life ended is shown again.
    assert len(set(accepted.values())) == ITEMS
    assert len(unlisted) <= KILLS * 8
    assert most_disk <= MAX_BYTES + 2 * PICTURE_BYTES
    assert most_memory <= MEMORY_BYTES
    assert list((spool / "ready").iterdir()) == []
