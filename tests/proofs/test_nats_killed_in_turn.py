"""1,000 frames of 100 KB through a NATS server and two workers, all killed in turn: none is lost, and duplicates are told by their key."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from nats_server import NatsServer

from aiohooks.delivery import nats_chunks
from aiohooks.delivery.item import Item
from aiohooks.delivery.nats import NatsSpool

pytestmark = [pytest.mark.proof, pytest.mark.anyio]

FRAMES = 1000
NBYTES = 100_000
LARGE = 2_000_000
"""Every hundredth is so large that it goes in chunks."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def worker(server: NatsServer, notes: Path) -> subprocess.Popen[bytes]:
    program = Path(__file__).parents[1] / "nats_worker.py"
    return subprocess.Popen([sys.executable, str(program), server.url, "frames", str(notes)], stdout=subprocess.DEVNULL)


async def test_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_chunks, "_ORPHANED", timedelta(seconds=5))
    chance = random.Random(7)
    items = [Item.new(chance.randbytes(LARGE if n % 100 == 0 else NBYTES)) for n in range(FRAMES)]
    digests = {item.key: hashlib.sha256(item.payload).hexdigest() for item in items}
    notes = [tmp_path / "notes0", tmp_path / "notes1"]
    killed = Counter[str]()

    def noted() -> list[list[str]]:
        # A line that a killed worker did not finish has not been acknowledged.
        lines = [line.split() for path in notes if path.exists() for line in path.read_text().splitlines()]
        return [line for line in lines if len(line) == 3 and line[0] in digests]

    with NatsServer(tmp_path, jetstream="sync_interval: always") as server:
        spool = NatsSpool((server.url,), stream="frames", max_bytes=20 << 20, max_dead_bytes=1 << 20, ack_wait=2.0)
        workers = [worker(server, path) for path in notes]
        try:
            async with spool.open() as store:
                to_put = iter(items)

                async def camera() -> None:
                    for item in to_put:
                        assert await store.put(item)

                async def trouble() -> None:
                    for turn in range(1, 15):
                        while len({line[0] for line in noted()}) < turn * FRAMES / 15:  # noqa: ASYNC110  # files tell no news
                            await anyio.sleep(0.02)
                        if turn % 3 == 0:
                            await anyio.to_thread.run_sync(server.kill)
                            killed["server"] += 1
                            await anyio.to_thread.run_sync(server.start)
                        else:
                            place = turn % 2
                            workers[place].send_signal(signal.SIGKILL)
                            await anyio.to_thread.run_sync(workers[place].wait)
                            killed["worker"] += 1
                            workers[place] = worker(server, notes[place])

                started = time.perf_counter()
                with anyio.fail_after(240):
                    async with anyio.create_task_group() as tasks:
                        for _ in range(4):
                            tasks.start_soon(camera)
                        tasks.start_soon(trouble)
                    while True:
                        # What workers were killed over stays for an hour, else.
                        await store._work.sweep()
                        if not (status := await store.status()).nbytes:
                            break
                        await anyio.sleep(0.5)
                seconds = time.perf_counter() - started
                assert (status.ready, status.leased, status.dead) == (0, 0, 0)
                assert (status.lost, status.accepted) == ({}, FRAMES)
        finally:
            for process in workers:
                process.kill()
                process.wait()

    counts = Counter(line[0] for line in noted())
    print(
        f"\n{FRAMES} frames in {seconds:.0f} s, killed: server {killed['server']}×, workers {killed['worker']}×; "
        f"lost {len(digests) - len(counts)}, delivered twice or more {sum(n > 1 for n in counts.values())} "
        f"({sum(counts.values()) - len(counts)} duplicates)"
    )
    assert all(digests[key] == digest for key, digest, _ in noted())
    assert counts.keys() == digests.keys()
    assert killed == {"server": 4, "worker": 10}
