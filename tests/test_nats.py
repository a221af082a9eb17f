"""A spool on a real NATS server: what it keeps, gives out and gets back, and what happens when servers and workers go away."""

import asyncio
import builtins
import contextlib
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats_server import NatsServer

from aiohooks.delivery import nats_admission, nats_call, nats_chunks, nats_connection, nats_queue, nats_store
from aiohooks.delivery.item import Item, Lease
from aiohooks.delivery.nats import NatsSpool
from aiohooks.delivery.nats_letter import Letter
from aiohooks.delivery.nats_login import login
from aiohooks.delivery.nats_store import NatsStore
from aiohooks.errors import DeliveryError, SpecError

pytestmark = pytest.mark.anyio

MIB = 1 << 20
FRAME = bytes(range(256)) * 400  # 102,400 bytes
names = (f"spool{number}" for number in itertools.count())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
def spool(server: NatsServer) -> NatsSpool:
    return spool_on(server)


def spool_on(server: NatsServer, **settings: Any) -> NatsSpool:
    limits = {"max_bytes": 16 * MIB, "max_dead_bytes": 16 * MIB}
    return NatsSpool((server.url,), stream=next(names), **(limits | settings))


def changed(spool: NatsSpool, **settings: Any) -> NatsSpool:
    return msgspec.structs.replace(spool, **settings)


async def lease(store: NatsStore) -> Lease:
    with anyio.fail_after(20):
        return await store.lease()


async def nothing_to_lease(store: NatsStore, seconds: float = 0.3) -> bool:
    with anyio.move_on_after(seconds) as waited:
        await store.lease()
    return waited.cancelled_caught


@asynccontextmanager
async def stream_of(spool: NatsSpool) -> AsyncIterator[Any]:
    """What the server itself says, by a client of our own."""
    client = await nats.connect(spool.servers[0])
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def test_what_one_puts_another_leases(spool: NatsSpool) -> None:
    first, second = Item.new(FRAME, source="cam 1"), Item.new(b"", source="Küche\n2")
    async with spool.open() as camera, spool.open() as worker:
        assert await camera.put(first)
        assert await camera.put(second)
        status = await worker.status()
        assert (status.ready, status.leased, status.delayed, status.dead) == (2, 0, 0, 0)
        assert status.nbytes > len(FRAME)
        assert status.oldest_seconds is not None
        assert 0 <= status.oldest_seconds < 60
        one = await lease(worker)
        other = await lease(worker)
        assert (one.item, one.attempt) == (first, 1)
        assert (other.item, other.attempt) == (second, 1)
        status = await camera.status()
        assert (status.ready, status.leased, status.accepted, status.delivered) == (0, 2, 2, 0)
        await worker.ack(one)
        await worker.ack(other)
        status = await worker.status()
        assert (status.ready, status.leased, status.nbytes, status.oldest_seconds) == (0, 0, 0, None)
        assert (status.accepted, status.delivered, status.lost) == (0, 2, {})
        with pytest.raises(DeliveryError, match="settled before"):
            await worker.ack(one)


async def test_each_item_goes_to_one_of_many_that_wait(spool: NatsSpool) -> None:
    got: list[str] = []
    items = [Item.new(bytes([n])) for n in range(40)]
    async with spool.open() as camera, spool.open() as here, spool.open() as there:

        async def work(store: NatsStore) -> None:
            while True:
                leased = await store.lease()
                await store.ack(leased)
                got.append(leased.item.key)
                if len(got) == len(items):
                    tasks.cancel_scope.cancel()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for store in (here, here, here, there, there):
                    tasks.start_soon(work, store)
                for item in items:
                    await camera.put(item)
    assert sorted(got) == sorted(item.key for item in items)


async def test_what_was_not_delivered_comes_back_after_the_delay(spool: NatsSpool) -> None:
    async with spool.open() as store:
        await store.put(Item.new(FRAME))
        await store.nack(await lease(store), delay=0, reason="refused")
        again = await lease(store)
        assert again.attempt == 2
        started = anyio.current_time()
        await store.nack(again, delay=0.4, reason="busy")
        status = await store.status()
        assert (status.ready, status.leased, status.delayed) == (0, 0, 1)
        again = await lease(store)
        assert again.attempt == 3
        assert anyio.current_time() - started >= 0.4
        status = await store.status()
        assert (status.leased, status.delayed) == (1, 0)


async def test_what_is_given_up_lies_with_the_dead_until_it_is_replayed(spool: NatsSpool) -> None:
    item = Item.new(FRAME * 30)
    async with spool.open() as store:
        for _ in range(2):  # a second time in spite of the duplicate window
            await store.put(item)
            await store.bury(await lease(store), reason="413: too large\nfor us")
            status = await store.status()
            assert (status.ready, status.leased, status.dead, status.delivered) == (0, 0, 1, 0)
            letters = [letter async for letter in store.dead_letters()]
            assert [(letter.item, letter.reason, letter.attempts) for letter in letters] == [
                (item, "413: too large\nfor us", 1)
            ]
            assert await store.replay() == 1
            assert (await store.status()).dead == 0
        again = await lease(store)
        assert (again.item, again.attempt) == (item, 1)
        await store.bury(again, reason="no")
        assert await store.forget_dead_letters() == 1
        assert (await store.status()).nbytes == 0
        assert [letter async for letter in store.dead_letters()] == []


async def test_what_a_killed_worker_had_in_hand_comes_back(spool: NatsSpool, tmp_path: Path) -> None:
    spool = changed(spool, ack_wait=0.5)
    async with spool.open() as store:
        item = Item.new(FRAME)
        await store.put(item)
        worker = Path(__file__).with_name("nats_worker.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(worker), spool.servers[0], spool.stream, str(tmp_path / "notes"), "hold",
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert (await process.stdout.readline()).decode().strip() == item.key
        process.kill()
        await process.wait()
        again = await lease(store)
        assert (again.item, again.attempt) == (item, 2)
        await store.ack(again)


async def test_what_is_worked_on_stays_with_its_worker(spool: NatsSpool) -> None:
    spool = changed(spool, ack_wait=0.3)
    async with spool.open() as slow, spool.open() as other:
        await slow.put(Item.new(FRAME))
        held = await lease(slow)
        assert await nothing_to_lease(other, 0.9)
        await slow.ack(held)
        assert (await slow.status()).nbytes == 0


async def test_what_is_leased_is_given_back_in_the_end(spool: NatsSpool) -> None:
    async with spool.open() as other:
        async with spool.open() as store:
            await store.put(Item.new(FRAME))
            await lease(store)
        with anyio.fail_after(5):  # not after the ack_wait of 30 s
            assert (await other.lease()).attempt == 2


async def test_who_no_longer_waits_gets_nothing(spool: NatsSpool) -> None:
    async with spool.open() as one, spool.open() as other:
        assert await nothing_to_lease(one)
        await one.put(Item.new(FRAME))
        assert (await lease(other)).attempt == 1


async def test_a_key_is_accepted_once(spool: NatsSpool) -> None:
    item = Item.new(FRAME)
    async with spool.open() as store:
        assert [await store.put(item), await store.put(item)] == [True, True]
        status = await store.status()
        assert (status.ready, status.accepted) == (1, 1)
        await store.ack(await lease(store))
        assert await store.put(item)  # it was accepted, and is delivered
        status = await store.status()
        assert (status.ready, status.accepted, status.nbytes) == (0, 1, 0)


async def test_a_key_that_waits_is_refused_after_the_window_too(spool: NatsSpool) -> None:
    small, large = Item.new(FRAME), Item.new(FRAME * 30)
    async with changed(spool, duplicate_window=0.1).open() as store:
        for _ in range(2):
            assert await store.put(small)
            assert await store.put(large)
            await anyio.sleep(0.3)
        status = await store.status()
        assert (status.ready, status.accepted) == (2, 2)
        assert {(await lease(store)).item.key, (await lease(store)).item.key} == {small.key, large.key}


async def test_a_full_spool_raises_or_drops_or_waits(spool: NatsSpool) -> None:
    spool = changed(spool, max_bytes=MIB)
    async with changed(spool, full="raise").open() as raising:
        with pytest.raises(DeliveryError, match="is full"):
            while True:
                await raising.put(Item.new(FRAME))
        full = await raising.status()
        assert full.ready == full.accepted == 10
        assert full.nbytes <= MIB
        async with changed(spool, full="drop_newest").open() as dropping:
            assert not await dropping.put(Item.new(FRAME))
            assert (await dropping.status()).lost == {"full": 1}
        async with spool.open() as waiting, spool.open() as worker:
            more = Item.new(FRAME)
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(waiting.put, more)
                    tasks.start_soon(waiting.put, Item.new(FRAME))
                    while not waiting._admission.waiting.statistics().tasks_waiting:  # noqa: ASYNC110  # the server takes its time
                        await anyio.sleep(0.01)
                    assert (await waiting.status()).accepted == 0
                    await worker.ack(await lease(worker))
                    await worker.bury(await lease(worker), reason="no")
            assert (await waiting.status()).ready == 10
            assert (await waiting.status()).accepted == 2


async def test_a_full_spool_drops_the_oldest_that_nobody_has(spool: NatsSpool) -> None:
    async with changed(spool, max_bytes=MIB, full="drop_oldest").open() as store:
        items = [Item.new(FRAME) for _ in range(12)]
        for item in items[:10]:
            assert await store.put(item)
        held = [await lease(store), await lease(store)]
        await store.nack(held[1], delay=60, reason="busy")
        for item in items[10:]:
            assert await store.put(item)
        status = await store.status()
        assert (status.ready, status.leased, status.delayed, status.accepted) == (8, 1, 1, 12)
        assert status.lost == {"dropped_oldest": 2}
        large = Item.new(FRAME * 6)
        assert await store.put(large)
        left = [await lease(store), await lease(store), await lease(store)]
        assert [leased.item for leased in left] == [items[10], items[11], large]
        assert not await store.put(Item.new(FRAME * 2))
        status = await store.status()
        assert (status.leased, status.delayed) == (4, 1)
        assert status.lost == {"dropped_oldest": 8, "full": 1}
        await store.ack(held[0])


async def test_what_was_leased_too_often_lies_with_the_dead(spool: NatsSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    poison, good = Item.new(FRAME), Item.new(FRAME)
    async with changed(spool, max_attempts=2, ack_wait=0.3).open() as store:
        await store.put(poison)
        for _ in range(2):
            await store.nack(await lease(store), delay=0, reason="crashed")
        await store.put(good)
        with monkeypatch.context() as patch:
            patch.setattr(store._dead, "store", breaks)
            assert (await lease(store)).item == good  # it is not for a worker to hear of that
        with anyio.fail_after(10):
            while not (await store.status()).dead:
                assert await nothing_to_lease(store, 0.1)
        (letter,) = [letter async for letter in store.dead_letters()]
        assert (letter.item, letter.reason, letter.attempts) == (poison, "leased 3 times, and not delivered", 4)


async def test_a_put_that_is_cancelled_was_not_accepted(spool: NatsSpool) -> None:
    async with changed(spool, max_bytes=4 * MIB).open() as store:
        await store.put(Item.new(FRAME * 20))
        before = await store.status()
        with anyio.move_on_after(0.3) as waited:
            await store.put(Item.new(FRAME * 30))
        assert waited.cancelled_caught
        after = await store.status()
        assert (after.ready, after.accepted) == (1, 1)
        assert after.nbytes == before.nbytes  # nothing of it lies around
        with pytest.raises(DeliveryError, match="does not fit"):
            await store.put(Item.new(FRAME * 50))


async def test_large_frames_go_in_chunks_that_are_cleaned_up(spool: NatsSpool) -> None:
    item = Item.new(FRAME * 50, source="cam")
    assert len(item.payload) > 5_000_000
    async with spool.open() as store:
        await store.put(item)
        status = await store.status()
        assert (status.ready, status.leased) == (1, 0)
        assert status.nbytes > len(item.payload)
        leased = await lease(store)
        assert leased.item == item
        await store.nack(leased, delay=0, reason="again")
        leased = await lease(store)
        assert leased.item == item
        await store.ack(leased)
        assert (await store.status()).nbytes == 0


async def test_chunks_without_an_item_are_swept(spool: NatsSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with spool.open() as store, stream_of(spool) as stream:
        whole = Item.new(FRAME * 20)
        await store.put(whole)
        before = await store.status()
        await stream.publish(f"aiohooks.{spool.stream}.chunk.orphan.0", FRAME)
        await store._work.sweep()
        assert (await store.status()).nbytes > before.nbytes  # somebody may be about to store it
        monkeypatch.setattr(nats_chunks, "_ORPHANED", timedelta(0))
        await store._work.sweep()
        assert (await store.status()).nbytes == before.nbytes
        assert (await lease(store)).item == whole


async def test_what_the_server_lost_a_part_of_is_counted(spool: NatsSpool) -> None:
    async with spool.open() as store, stream_of(spool) as stream:
        broken, whole = Item.new(FRAME * 20), Item.new(FRAME)
        await store.put(broken)
        await stream.purge_stream(spool.stream, subject=f"aiohooks.{spool.stream}.chunk.*.1")
        await store.put(whole)
        assert (await lease(store)).item == whole
        assert (await store.status()).lost == {"incomplete": 1}


async def test_what_is_no_item_goes_to_the_dead(spool: NatsSpool) -> None:
    async with spool.open() as store, stream_of(spool) as stream:
        await stream.publish(f"aiohooks.{spool.stream}.item.foreign", b"hello")
        item = Item.new(FRAME)
        await store.put(item)
        assert (await lease(store)).item == item
        (letter,) = [letter async for letter in store.dead_letters()]
        assert letter.item.payload == b"hello"
        assert "not an item" in letter.reason


async def test_dead_letters_are_bounded_and_so_is_their_replay(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_store, "DEAD_FULL_DELAY", 0.5)
    spool = changed(spool, max_bytes=1 << 17, max_dead_bytes=1 << 17, full="drop_newest")
    item = Item.new(FRAME)
    async with spool.open() as store:
        await store.put(item)
        await store.bury(await lease(store), reason="no")
        await store.put(Item.new(FRAME))
        with pytest.raises(DeliveryError, match=r"dead letters .* are full"):
            await store.bury(await lease(store), reason="no")
        assert await nothing_to_lease(store, 0.2)  # else it would be attempted a thousand times a second
        with pytest.raises(DeliveryError, match="0 dead letters were replayed"):
            await store.replay()
        again = await lease(store)  # it stays what it was
        assert again.attempt == 2
        await store.ack(again)
        assert await store.replay() == 1
        assert (await lease(store)).item == item


SMALL_AND_LARGE = pytest.mark.parametrize("payload", [FRAME, FRAME * 20], ids=["small", "in chunks"])


async def breaks(*_: Any, **__: Any) -> None:
    raise DeliveryError("the server was lost")


@SMALL_AND_LARGE
async def test_what_is_being_buried_is_not_replayed(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch, payload: bytes
) -> None:
    item = Item.new(payload)
    async with spool.open() as store:
        await store.put(item)
        unfinished = await lease(store)
        assert isinstance(unfinished, nats_store._Leased)
        with monkeypatch.context() as patch, pytest.raises(DeliveryError, match="lost"):
            patch.setattr(store._work, "remove", breaks)
            await store.bury(unfinished, reason="no")
        assert await store.replay() == 0
        assert (await store.status()).dead == 1
        await store._work.give_back(unfinished.letter)
        await store.bury(await lease(store), reason="no, again")
        status = await store.status()
        assert (status.ready, status.leased, status.dead) == (0, 0, 1)
        assert await store.replay() == 1
        await store.ack(again := await lease(store))
        assert again.item == item
        status = await store.status()
        assert (status.dead, status.nbytes, status.lost) == (0, 0, {})


@SMALL_AND_LARGE
@pytest.mark.parametrize("goes_on", [True, False])
async def test_what_is_buried_before_its_replay_has_ended_is_kept(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch, payload: bytes, goes_on: bool
) -> None:
    item = Item.new(payload)
    removes, may_remove = anyio.Event(), anyio.Event()
    async with spool.open() as store, spool.open() as worker:
        await store.put(item)
        await worker.bury(await lease(worker), reason="no")
        remove = store._dead.remove

        async def late(letter: Letter) -> None:
            removes.set()
            await may_remove.wait()
            await (remove(letter) if goes_on else breaks())

        monkeypatch.setattr(store._dead, "remove", late)
        replay = asyncio.ensure_future(store.replay())
        with anyio.fail_after(20):
            await removes.wait()
            await worker.bury(await lease(worker), reason="still not")
            may_remove.set()
            await asyncio.wait((replay,))
        assert (replay.exception() is None) == goes_on
        (letter,) = [letter async for letter in worker.dead_letters()]
        assert (letter.item, letter.reason) == (item, "still not")
        assert await worker.replay() == 1
        await worker.ack(again := await lease(worker))
        assert again.item == item
        status = await worker.status()
        assert (status.dead, status.nbytes, status.lost) == (0, 0, {})


async def test_what_is_deleted_is_gone_and_nothing_that_has_come_in_its_place(spool: NatsSpool) -> None:
    item = Item.new(FRAME * 20)
    async with spool.open() as store:
        await store.put(item)
        first = await store._work.find(item.key)
        assert first is not None
        await store._work.delete(first)
        assert (await store.status()).nbytes == 0
        await store._work.store(item.key, msgspec.msgpack.encode(item), id="another", patience=1)
        await store._work.delete(first)
        assert (await lease(store)).item == item


async def test_what_cannot_be_replayed_keeps_no_other_from_it(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with spool.open() as store:
        for reason in ("unfinished", "finished"):
            await store.put(Item.new(FRAME, source=reason))
            leased = await lease(store)
            with monkeypatch.context() as patch, contextlib.suppress(DeliveryError):
                if reason == "unfinished":
                    patch.setattr(store._work, "remove", breaks)
                await store.bury(leased, reason=reason)
        assert await store.replay() == 1
        assert (await lease(store)).item.source == "finished"
        assert (await store.status()).dead == 1


async def test_what_arrives_when_nobody_waits_any_more_is_given_back(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with spool.open() as store, spool.open() as other:
        await store.put(Item.new(FRAME))
        once, arrives = store._connection.once, anyio.Event()

        async def arrives_late(call: Callable[[], Awaitable[Any]], **how: Any) -> Any:
            answer = await once(call, **how)
            if getattr(call, "__name__", "") == "fetch":
                arrives.set()
                await anyio.sleep_forever()
            return answer

        monkeypatch.setattr(store._connection, "once", arrives_late)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store._work.take)
                await arrives.wait()
                tasks.cancel_scope.cancel()
        monkeypatch.undo()
        with anyio.fail_after(5):  # not after the ack_wait of 30 s
            assert (await other.lease()).attempt == 2


async def test_what_is_put_off_is_forgotten_when_it_is_due(spool: NatsSpool) -> None:
    async with spool.open() as store:
        await store.put(Item.new(FRAME))
        for _ in range(5):
            await store.nack(await lease(store), delay=0.001, reason="busy")
        assert len(store._due) == 1


async def test_what_the_server_keeps_but_no_longer_gives_out_is_given_out_again(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_queue, "_PULL", 0.3)
    async with spool.open() as store, stream_of(spool) as stream:
        # A killed server is made to forget by luck alone; this one is told to deliver once.
        await stream.delete_consumer(spool.stream, "workers")
        await stream.add_consumer(
            spool.stream,
            name="workers",
            durable_name="workers",
            filter_subject=f"aiohooks.{spool.stream}.item.*",
            ack_wait=0.1,
            max_deliver=1,
        )
        item = Item.new(FRAME)
        await store.put(item)
        pulls = await stream.pull_subscribe_bind(consumer="workers", stream=spool.stream)
        await pulls.fetch(1)
        again = await lease(store)
        assert again.item == item
        await store.ack(again)
        assert (await store.status()).nbytes == 0


async def test_a_killed_server_is_waited_for(tmp_path: Path) -> None:
    with NatsServer(tmp_path, jetstream="sync_interval: always") as server:
        spool = spool_on(server)
        before, while_down = [Item.new(FRAME) for _ in range(3)], Item.new(FRAME * 20)
        async with spool.open() as camera, spool.open() as worker:
            for item in before:
                await camera.put(item)
            held = await lease(worker)
            got: list[str] = []

            async def work() -> None:
                await worker.ack(held)
                got.append(held.item.key)
                while len(got) < 4:
                    leased = await worker.lease()
                    await worker.ack(leased)
                    got.append(leased.item.key)

            server.kill()
            with anyio.fail_after(30):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(work)
                    tasks.start_soon(camera.put, while_down)
                    await anyio.wait_all_tasks_blocked()
                    await anyio.to_thread.run_sync(server.start)
            assert sorted(got) == sorted(item.key for item in [*before, while_down])
            status = await worker.status()
            assert (status.ready, status.leased, status.nbytes) == (0, 0, 0)


@pytest.mark.parametrize("back_in_the_end", [True, False])
async def test_without_a_server_a_put_that_does_not_wait_is_an_error_or_counted(
    tmp_path: Path, back_in_the_end: bool
) -> None:
    tasks = asyncio.all_tasks()
    with NatsServer(tmp_path) as server:
        raising = spool_on(server, full="raise", timeout=0.5)
        dropping = changed(raising, full="drop_newest")
        async with raising.open() as one, dropping.open() as other:
            server.kill()
            with pytest.raises(DeliveryError, match=r"did not answer within 0\.5 s"):
                await one.put(Item.new(FRAME))
            assert not await other.put(Item.new(FRAME))
            assert other._lost == {"no answer": 1}
            if back_in_the_end:
                server.start()
    assert asyncio.all_tasks() == tasks


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function StreamWriter"
)  # nats-py leaves those of refused attempts open
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_password_that_changes_is_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, restarted: bool
) -> None:
    monkeypatch.setenv("WHO", "camera:first")
    monkeypatch.setattr(nats_connection, "RECONNECT", 0.05)
    with NatsServer(tmp_path, "authorization { users: [{user: camera, password: first}] }") as server:
        async with spool_on(server, credentials_variable="WHO").open() as store:
            await store.put(Item.new(b"0"))
            await store.ack(await lease(store))  # a subscription that is of the connection that is ended
            if restarted:
                server.kill()
            server.change("first", "second")
            if restarted:
                server.start()
            while "refuses us" not in caplog.text:  # noqa: ASYNC110  # there is no event
                await anyio.sleep(0.01)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.put, Item.new(b"1"))
                await anyio.wait_all_tasks_blocked()
                monkeypatch.setenv("WHO", "camera:second")
            assert (await lease(store)).item.payload == b"1"
            assert (await store.status()).accepted == 2
            assert store._connection.opened == 2
        assert "second" not in caplog.text


async def test_who_waits_hears_that_a_refused_connection_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHO", "camera:first")
    with NatsServer(tmp_path, "authorization { users: [{user: camera, password: first}] }") as server:
        async with anyio.create_task_group() as tasks, spool_on(server, credentials_variable="WHO").open() as store:
            server.change("first", "second")
            await store._connection._ended.wait()

            async def put() -> None:
                with pytest.raises(DeliveryError, match="closed"):
                    await store.put(Item.new(b"0"))

            tasks.start_soon(put)
            await anyio.wait_all_tasks_blocked()


async def test_what_may_have_been_stored_is_not_counted_as_dropped(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with spool_on(server, full="drop_newest", timeout=0.2).open() as store:
        publish = store._connection.jetstream.publish

        async def stored_without_an_answer(*args: Any, **settings: Any) -> Any:
            await publish(*args, **settings)
            await anyio.sleep(0.2)
            raise TimeoutError

        monkeypatch.setattr(store._connection.jetstream, "publish", stored_without_an_answer)
        assert await store.put(Item.new(b"0"))
        monkeypatch.setattr(nats_admission, "_LOOK", 0.0)
        assert not await store.put(Item.new(b"1"))
        status = await store.status()
        assert (status.accepted, status.lost) == (1, {"unknown": 1})


async def test_what_is_dropped_when_its_putter_is_cancelled_is_counted(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with spool_on(server, full="drop_oldest", max_bytes=MIB).open() as store:
        await store.put(Item.new(FRAME))
        remove = store._work.remove

        async def removed_and_then_nothing(letter: Any) -> None:
            await remove(letter)
            await anyio.sleep_forever()

        monkeypatch.setattr(store._work, "remove", removed_and_then_nothing)
        with anyio.move_on_after(0.3):
            await store._admission.drop_oldest(1)
        assert (await store.status()).lost == {"dropped_oldest": 1}


async def test_what_arrives_when_the_connection_is_lost_is_had(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with spool.open() as store:
        await store.put(Item.new(b"0"))
        bind = store._connection.jetstream.pull_subscribe_bind

        async def interrupted(**settings: Any) -> Any:
            pulls = await bind(**settings)
            fetch = pulls.fetch

            async def fetch_and_lose(*args: Any, **settings: Any) -> Any:
                messages = await fetch(*args, **settings)
                asyncio.get_running_loop().call_soon(store._connection._interrupt)
                return messages

            pulls.fetch = fetch_and_lose
            return pulls

        monkeypatch.setattr(store._connection.jetstream, "pull_subscribe_bind", interrupted)
        assert (await lease(store)).item.payload == b"0"


async def test_nobody_there() -> None:
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1:1 was not reached within 0\.3 s .*is nats-server running"):
        async with NatsSpool(("nats://127.0.0.1:1",), timeout=0.3).open():
            pass


async def test_who_may_not_come_in_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NatsServer(tmp_path, "authorization { user: cam, password: s3cret }") as server:
        spool = spool_on(server)
        with pytest.raises(DeliveryError, match=r"refuses us \(.*Authorization.*credentials_variable"):
            async with spool.open():
                pass
        monkeypatch.setenv("NATS_LOGIN", "cam:wr0ng")
        spool = changed(spool, credentials_variable="NATS_LOGIN")
        with pytest.raises(DeliveryError, match="refuses us") as refused:
            async with spool.open():
                pass
        assert "wr0ng" not in str(refused.value)
        monkeypatch.setenv("NATS_LOGIN", "cam:s3cret")
        async with spool.open() as store:
            await store.put(Item.new(FRAME))
        monkeypatch.delenv("NATS_LOGIN")
        with pytest.raises(DeliveryError, match="NATS_LOGIN is not set"):
            async with spool.open():
                pass


def swallow_cancellations(
    monkeypatch: pytest.MonkeyPatch, method: str, when: Callable[..., bool] = lambda *_: True
) -> asyncio.Event:
    """Have the client go on when it is cancelled, as nats-py can; returns an event that is set once it can be cancelled."""
    real, waits = getattr(Client, method), asyncio.Event()

    async def deaf(self: Client, *arguments: Any, **more: Any) -> Any:
        if when(self, *arguments):
            with contextlib.suppress(asyncio.CancelledError):
                waits.set()
                await asyncio.Event().wait()
        return await real(self, *arguments, **more)

    monkeypatch.setattr(Client, method, deaf)
    return waits


async def test_it_closes_though_nats_py_swallows_that_it_is_cancelled(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = swallow_cancellations(monkeypatch, "request", lambda _, __, body: b"subjects_filter" in body)

    async def opened() -> None:
        async with spool.open():
            await sweeps.wait()

    task = asyncio.ensure_future(opened())
    await asyncio.wait((task,), timeout=10)
    assert task.done()
    await task


async def test_who_waits_is_cancelled_though_nats_py_swallows_it(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with spool.open() as store:
        for method, call in (("publish", store.lease), ("request", store.status)):
            with monkeypatch.context() as patch:
                waits = swallow_cancellations(patch, method)
                task = asyncio.ensure_future(call())
                await waits.wait()
                task.cancel()
                await asyncio.wait((task,), timeout=10)
                assert task.cancelled()


@pytest.mark.parametrize(
    ("method", "message"), [("connect", r"not reached within 0\.1 s"), ("request", r"JetStream .* does not answer")]
)
async def test_opening_ends_in_time_though_nats_py_never_ends(
    spool: NatsSpool, monkeypatch: pytest.MonkeyPatch, method: str, message: str
) -> None:
    for module in (nats_connection, nats_call):
        monkeypatch.setattr(module, "ANSWER", 0.1)
    enough, close = asyncio.Event(), Client.close
    clients: list[Client] = []

    async def deaf(self: Client, *_: Any, **__: Any) -> None:
        clients.append(self)
        while not enough.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await enough.wait()

    for name in (method, "close"):
        monkeypatch.setattr(Client, name, deaf)
    started = anyio.current_time()
    with pytest.raises(DeliveryError, match=message):
        async with changed(spool, timeout=0.1).open():
            pass
    assert anyio.current_time() - started < 10
    enough.set()
    if method != "connect":  # else there is nothing to close
        await close(clients[0])


async def test_streams_that_nobody_tells_of(spool: NatsSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    swallow_cancellations(monkeypatch, "request", lambda _, subject, *__: "STREAM.INFO" in subject)
    with pytest.raises(DeliveryError, match=r"could not be made, or looked at, within 0\.2 s"):
        async with changed(spool, timeout=0.2).open():
            pass


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py takes a server that hangs up during the greeting for one that it is connected to."""
    tasks = asyncio.all_tasks()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload": 1048576}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1") as mute:
        port = mute.sockets[0].getsockname()[1]
        with anyio.fail_after(10), pytest.raises(DeliveryError, match=r"not reached within 0\.3 s"):
            async with NatsSpool((f"nats://127.0.0.1:{port}",), timeout=0.3).open():
                pass
    await anyio.wait_all_tasks_blocked()
    assert asyncio.all_tasks() == tasks


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path, jetstream=None) as server,
        pytest.raises(DeliveryError, match=r"JetStream .*nats-server -js"),
    ):
        async with spool_on(server).open():
            pass


async def test_a_stream_that_is_something_else(spool: NatsSpool) -> None:
    async with stream_of(spool) as stream:
        await stream.add_stream(name=spool.stream, subjects=["something.else"])
        with pytest.raises(DeliveryError, match=r"is no queue of aiohooks .*another name"):
            async with spool.open():
                pass
    with pytest.raises(DeliveryError, match=r"refuses the stream .*insufficient storage"):
        async with changed(spool, stream="huge", max_bytes=1 << 40).open():
            pass


async def test_an_existing_stream_keeps_its_limits(spool: NatsSpool, caplog: pytest.LogCaptureFixture) -> None:
    async with spool.open():
        pass
    async with changed(spool, max_bytes=MIB, ack_wait=7.0).open() as store:
        assert "was made with max_bytes=16777216, which stays" in caplog.text
        assert store._work.ack_wait == 30.0


async def test_a_closed_store_says_so(spool: NatsSpool) -> None:
    async with spool.open() as store:
        await store.put(Item.new(FRAME))
        waiting: list[asyncio.Task[Lease]] = []
        async with spool.open() as closing:
            await closing.ack(await lease(closing))
            waiting.append(asyncio.ensure_future(closing.lease()))
            await anyio.wait_all_tasks_blocked()
        with pytest.raises(DeliveryError, match="closed"):
            await waiting[0]
        with pytest.raises(DeliveryError, match="closed"):
            await closing.put(Item.new(FRAME))
        with pytest.raises(DeliveryError, match="become"):
            await store.put(Item("a.b", "", 0.0, b""))


async def test_a_missing_nats_py_is_named(spool: NatsSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("aiohooks.delivery.nats_")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without_nats(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "nats":
            raise ModuleNotFoundError("No module named 'nats'", name="nats")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_nats)
    with pytest.raises(DeliveryError, match=r'pip install "aiohooks\[nats\]"'):
        async with spool.open():
            pass


def test_it_can_be_saved() -> None:
    spool = NatsSpool(["nats://a:4222", "tls://b"], stream="frames", credentials_variable="NATS_LOGIN", full="raise")  # type: ignore[arg-type]
    assert msgspec.json.decode(msgspec.json.encode(spool), type=NatsSpool) == spool
    assert spool.servers == ("nats://a:4222", "tls://b")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"servers": ["nats://cam:s3cret@host:4222"]}, "must not hold a user name, password or token"),
        ({"servers": ["nats://t0ken@host"]}, "must not hold"),
        ({"servers": ["host:4222"]}, "addresses such as"),
        ({"servers": ["http://host"]}, "addresses such as"),
        ({"servers": ["nats://host:70000"]}, "addresses such as"),
        ({"servers": []}, "NatsSpool.servers"),
        ({"stream": "a.b"}, "NatsSpool.stream"),
        ({"credentials_variable": "cam:s3cret"}, "NatsSpool.credentials_variable"),
        ({"full": "drop_all"}, "NatsSpool.full"),
        ({"max_attempts": 0}, "NatsSpool.max_attempts"),
        ({"ack_wait": 0}, "NatsSpool.ack_wait"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as wrong:
        NatsSpool(**settings)
    assert "s3cret" not in str(wrong.value)


def test_who_we_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def of(text: str) -> dict[str, object]:
        monkeypatch.setenv("NATS_LOGIN", text)
        return login("NATS_LOGIN")

    assert login(None) == {}
    assert of("cam:pass:word\n") == {"user": "cam", "password": "pass:word"}
    assert of("t0ken") == {"token": "t0ken"}
    with pytest.raises(DeliveryError, match="not there"):
        of(str(tmp_path / "cam.creds"))
    (tmp_path / "cam.creds").write_text("")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for signed in (str(tmp_path / "cam.creds"), "SU" + "A" * 56, "-----BEGIN NATS USER JWT-----\ne30\n"):
        with pytest.raises(DeliveryError, match="need nkeys") as missing:
            of(signed)
        assert signed not in str(missing.value)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert of("SU" + "A" * 56) == {"nkeys_seed_str": "SU" + "A" * 56}
    assert of(str(tmp_path / "cam.creds")) == {"user_credentials": str(tmp_path / "cam.creds")}


def test_loading_the_configuration_does_not_load_nats() -> None:
    program = "import sys, aiohooks.delivery.nats; print('nats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
