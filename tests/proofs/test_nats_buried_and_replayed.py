"""300 items that workers bury half of the time, while another replays them and the server is killed in between: none is lost."""

import random
import time
from collections import Counter
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from nats_server import NatsServer

from aiohooks.delivery.item import Item
from aiohooks.delivery.nats import NatsSpool
from aiohooks.delivery.nats_store import NatsStore

pytestmark = [pytest.mark.proof, pytest.mark.anyio]

ITEMS = 300
NBYTES = 20_000
LARGE = 1_500_000
"""Every fifteenth is so large that it goes in chunks."""

KILLS = 6


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_nothing_is_lost(tmp_path: Path) -> None:
    chance = random.Random(1)
    items = [Item.new(chance.randbytes(LARGE if n % 15 == 0 else NBYTES)) for n in range(ITEMS)]
    put = {item.key: item for item in items}
    delivered, done = Counter[str](), Counter[str]()

    async def camera(store: NatsStore) -> None:
        for item in items:
            assert await store.put(item)

    async def worker(store: NatsStore) -> None:
        while True:
            lease = await store.lease()
            assert lease.item == put[lease.item.key]
            end = chance.choices(("bury", "ack", "nack"), (50, 35, 15))[0]
            if end == "bury":
                await store.bury(lease, reason="no" * chance.randint(1, 20))
            elif end == "ack":
                await store.ack(lease)
                delivered[lease.item.key] += 1
            else:
                await store.nack(lease, delay=0, reason="busy")
            done[end] += 1

    async def replayer(store: NatsStore) -> None:
        while True:
            done["replayed"] += await store.replay()
            await anyio.sleep(0.05)

    async def trouble(server: NatsServer) -> None:
        while done["killed"] < KILLS:
            await anyio.sleep(1 + chance.random())
            await anyio.to_thread.run_sync(server.kill)
            await anyio.to_thread.run_sync(server.start)
            done["killed"] += 1

    with NatsServer(tmp_path, jetstream="sync_interval: always") as server:
        spool = NatsSpool((server.url,), max_bytes=200 << 20, max_dead_bytes=200 << 20, ack_wait=1.0, timeout=30)
        started = time.perf_counter()
        async with spool.open() as cameras, spool.open() as here, spool.open() as there, spool.open() as replays:
            with anyio.fail_after(120):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(camera, cameras)
                    for store in (here, here, here, there, there, there):
                        tasks.start_soon(worker, store)
                    tasks.start_soon(replayer, replays)
                    await trouble(server)
                    while len(delivered) < ITEMS or (await cameras.status()).nbytes:  # noqa: ASYNC110  # no news of that
                        await anyio.sleep(0.2)
                    tasks.cancel_scope.cancel()
            lost = [store._lost for store in (cameras, here, there, replays)]
    print(
        f"\n{ITEMS} items in {time.perf_counter() - started:.0f} s, server killed {done['killed']}×, {done['bury']} burials, "
        f"{done['replayed']} replays; lost {ITEMS - len(delivered)}, delivered again {sum(delivered.values()) - len(delivered)}"
    )
    assert delivered.keys() == put.keys()
    assert not any(lost)
    assert done["replayed"] > ITEMS / 2
