"""An item whose end the server takes its time to take down stays in the hands of who has it."""

from pathlib import Path

import anyio
import pytest
from nats_server import NatsServer

from aiohooks.delivery.item import Item
from aiohooks.delivery.nats import NatsSpool
from aiohooks.delivery.nats_letter import Letter
from aiohooks.delivery.nats_queue import Queue

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("end", ["ack", "nack", "bury"])
async def test_it_is_kept_until_it_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    extended = anyio.Event()
    extend, remove, put_back = Queue.extend, Queue.remove, Queue.put_back

    async def slow_remove(queue: Queue, letter: Letter) -> None:
        await extended.wait()
        await remove(queue, letter)

    async def slow_put_back(queue: Queue, letter: Letter, delay: float) -> None:
        await extended.wait()
        await put_back(queue, letter, delay)

    async def watched(queue: Queue, letter: Letter) -> None:
        await extend(queue, letter)
        extended.set()

    with NatsServer(tmp_path) as server:
        async with NatsSpool((server.url,), max_bytes=1 << 20, max_dead_bytes=1 << 20, ack_wait=0.6).open() as store:
            await store.put(Item.new(b"payload"))
            lease = await store.lease()
            monkeypatch.setattr(Queue, "remove", slow_remove)
            monkeypatch.setattr(Queue, "put_back", slow_put_back)
            monkeypatch.setattr(Queue, "extend", watched)
            with anyio.fail_after(10):
                if end == "ack":
                    await store.ack(lease)
                elif end == "nack":
                    await store.nack(lease, delay=0.0, reason="503")
                else:
                    await store.bury(lease, reason="400")
            assert not store._taken
