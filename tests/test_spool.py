"""Items go in, are leased, and leave in one of three ways."""

import asyncio
import errno
import itertools
import threading
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest
from spool_fixtures import disk, drain, files, item, number
from virtual_clock import run_virtual

from aiohooks.delivery import durable_file, open_spool, recent, spool_folder
from aiohooks.delivery.item import Item, Store
from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.policies import Fsync
from aiohooks.delivery.spool import Spool
from aiohooks.errors import DeliveryError, SpecError

pytestmark = pytest.mark.anyio


async def test_an_item_is_delivered(tmp_path: Path) -> None:
    async with Spool(str(tmp_path / "a" / "b")).open() as spool:
        store: Store = spool
        accepted = Item.new(b"payload", source="front")
        assert await store.put(accepted)
        lease = await store.lease()
        assert (lease.item, lease.attempt) == (accepted, 1)
        assert files(tmp_path / "a" / "b") == ["ready/0000000000000000-0.item"]
        await store.ack(lease)
        status = await store.status()
    assert (status.ready, status.leased, status.nbytes, status.oldest_seconds) == (0, 0, 0, None)
    assert (status.accepted, status.delivered, status.lost) == (1, 1, {})
    assert files(tmp_path / "a" / "b") == []


async def test_items_come_in_the_order_of_acceptance_and_their_names_sort_so(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(12):
            await store.put(item(i))
        names = files(tmp_path)
        assert [int(spool_name.split("/")[1].split("-")[0]) for spool_name in names] == list(range(12))
        assert await drain(store) == list(range(12))


async def test_a_lease_waits_for_an_item(tmp_path: Path) -> None:
    leased: list[int] = []

    async def lease(store: OpenSpool) -> None:
        leased.append(number((await store.lease()).item))

    async with Spool(str(tmp_path)).open() as store, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(lease, store)
        await anyio.wait_all_tasks_blocked()
        for i in range(3):
            await store.put(item(i))
    assert sorted(leased) == [0, 1, 2]


async def test_what_is_held_comes_back_with_the_next_start_and_no_crash_is_counted(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), max_attempts=1)
    async with spool.open() as store:
        await store.put(item(1))
        await store.put(item(2))
        await store.nack(await store.lease(), delay=3600, reason="down")
        await store.lease()
    assert files(tmp_path) == ["ready/0000000000000000-0.item", "ready/0000000000000001-0.item"]
    async with spool.open() as store:
        lease = await store.lease()
        assert (number(lease.item), lease.attempt) == (1, 1)
        await store.ack(lease)
        assert await drain(store) == [2]
        status = await store.status()
    assert (status.accepted, status.delivered) == (2, 2)


@pytest.mark.usefixtures("no_thread")
def test_a_refused_item_comes_back_after_its_delay_in_its_turn(tmp_path: Path) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        async with Spool(str(tmp_path), fsync="never").open() as store:
            await store.put(item(1))
            await store.put(item(2))
            first, second = await store.lease(), await store.lease()
            began = clock()
            await store.nack(first, delay=50.0, reason="503")
            await store.nack(second, delay=20.0, reason="503")
            assert (await store.status()).delayed == 2
            lease = await store.lease()
            assert (number(lease.item), lease.attempt) == (2, 2)
            assert 20 <= clock() - began < 21
            await store.nack(lease, delay=40.0, reason="503")
            lease = await store.lease()
            assert 50 <= clock() - began < 51
            await store.nack(lease, delay=0, reason="503")
            lease = await store.lease()
            assert (number(lease.item), lease.attempt) == (1, 3)
            await store.ack(lease)
            lease = await store.lease()
            assert (number(lease.item), lease.attempt) == (2, 3)
            assert 60 <= clock() - began < 61

    run_virtual(main)


@pytest.mark.usefixtures("no_thread")
@pytest.mark.parametrize("delay", [0.0, 20.0])
def test_who_waits_for_an_item_hears_of_one_that_comes_back(tmp_path: Path, delay: float) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        async with Spool(str(tmp_path), fsync="never").open() as store:
            await store.put(item(1))
            lease = await store.lease()
            waiting = asyncio.create_task(store.lease())
            await asyncio.sleep(0)
            began = clock()
            await store.nack(lease, delay=delay, reason="503")
            with anyio.fail_after(1000):
                assert number((await waiting).item) == 1
            assert delay <= clock() - began < delay + 1

    run_virtual(main)


async def test_dead_letters_keep_their_reason_and_can_be_replayed(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(3):
            await store.put(item(i))
            await store.bury(await store.lease(), reason=f"400: {i}")
        assert (await store.status()).dead == 3
    async with Spool(str(tmp_path)).open() as store:
        dead = [stored async for stored in store.items(dead_only=True)]
        assert [(number(one.item), one.dead.reason, one.dead.attempts) for one in dead if one.dead] == [
            (0, "400: 0", 1), (1, "400: 1", 1), (2, "400: 2", 1),
        ]  # fmt: skip
        assert await store.replay([dead[1].item.key, "unknown"]) == 1
        await store.put(item(9))
        lease = await store.lease()
        assert (number(lease.item), lease.attempt) == (1, 1)
        await store.ack(lease)
        assert await store.replay() == 2
        assert await drain(store) == [0, 2, 9]
        assert (await store.status()).dead == 0
    assert files(tmp_path) == []


async def test_purging_counts_what_it_removes_and_leaves_what_is_in_hand(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(5):
            await store.put(item(i))
        await store.bury(await store.lease(), reason="400")
        await store.nack(await store.lease(), delay=3600, reason="503")
        lease = await store.lease()
        assert await store.purge(dead_only=True) == 1
        assert await store.purge() == 3
        status = await store.status()
        assert (status.ready, status.leased, status.delayed, status.dead) == (0, 1, 0, 0)
        assert status.lost == {"purged": 4}
        await store.ack(lease)
    assert files(tmp_path) == []


async def test_a_lease_is_settled_once_and_by_its_own_store(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        await store.put(item(1))
        lease = await store.lease()
        await store.ack(lease)
        with pytest.raises(DeliveryError, match="settled before"):
            await store.nack(lease, delay=0, reason="")

        class Other:
            item = lease.item
            attempt = 1

        with pytest.raises(DeliveryError, match="another store"):
            await store.ack(Other())
        await store.put(item(2))
        lease = await store.lease()
        with pytest.raises(ValueError, match="expected a delay"):
            await store.nack(lease, delay=float("nan"), reason="")
        await store.ack(lease)


async def test_closing_ends_who_waits(tmp_path: Path) -> None:
    ended: list[str] = []

    async def waits(call: str, store: OpenSpool) -> None:
        with pytest.raises(DeliveryError, match="is not open"):
            await (store.lease() if call == "lease" else store.put(item(2)))
        ended.append(call)

    async with anyio.create_task_group() as tasks, Spool(str(tmp_path), max_items=1).open() as store:
        await store.put(item(1))
        await store.lease()
        tasks.start_soon(waits, "lease", store)
        tasks.start_soon(waits, "put", store)
        await anyio.wait_all_tasks_blocked()
    assert sorted(ended) == ["lease", "put"]
    await store.aclose()
    with pytest.raises(DeliveryError, match="is not open"):
        await store.put(item(3))


async def test_before_it_is_open(tmp_path: Path) -> None:
    store = Spool(str(tmp_path)).open()
    for call in (lambda: store.put(item(1)), store.lease, store.replay, store.purge):
        with pytest.raises(DeliveryError, match="is not open"):
            await call()
    await store.aclose()
    assert not files(tmp_path)
    async with store:
        pass
    with pytest.raises(DeliveryError, match="open before"):
        await store.__aenter__()


async def test_a_spool_opens_and_closes_in_different_tasks(tmp_path: Path) -> None:
    store = Spool(str(tmp_path)).open()
    for step in (store.__aenter__, store.aclose):
        await asyncio.create_task(step())
    assert not [thread for thread in threading.enumerate() if thread.name == "aiohooks spool"]


async def test_one_owner(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        await store.put(item(1))
        with pytest.raises(DeliveryError, match="in use by process"):
            async with Spool(str(tmp_path)).open():
                pass
        assert await drain(store) == [1]


async def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "mine").write_text("mine")
    (tmp_path / "holiday.jpg").write_text("picture")
    with pytest.raises(DeliveryError, match="it holds something else"):
        async with Spool(str(tmp_path)).open():
            pass
    assert files(tmp_path) == ["holiday.jpg", "tmp/mine"]
    with pytest.raises(DeliveryError, match="cannot be used as a spool"):
        async with Spool(str(tmp_path / "holiday.jpg" / "under")).open():
            pass


async def test_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "spool.json").write_text('{"version": 2}')
    with pytest.raises(DeliveryError, match="expected version 1, got 2"):
        async with Spool(str(tmp_path)).open():
            pass


def test_the_settings_are_checked_and_can_be_saved(tmp_path: Path) -> None:
    for wrong in (
        {"fsync": "sometimes"},
        {"max_items": 0},
        {"max_bytes": -1},
        {"full": "explode"},
        {"max_attempts": 0},
    ):
        with pytest.raises(SpecError, match=f"Spool.{next(iter(wrong))}"):
            Spool("folder", **wrong)  # type: ignore[arg-type]
    spool = Spool(tmp_path, fsync="always", max_attempts=3)  # type: ignore[arg-type]
    assert msgspec.json.decode(msgspec.json.encode(spool), type=Spool) == spool
    assert spool.folder == str(tmp_path)


@pytest.mark.parametrize("call", ["write", "replace"])
async def test_a_cancelled_put_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    at_work, go_on = anyio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def failing(name: str, *args: object) -> int:
        if name == call and threading.current_thread().name == "aiohooks spool":
            loop.call_soon_threadsafe(at_work.set)
            assert go_on.wait(10)
        return 0

    async with Spool(str(tmp_path), fsync="always").open() as store:
        with disk(monkeypatch) as watched:
            watched.failing = failing
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.put, item(1))
                await at_work.wait()
                tasks.cancel_scope.cancel()
                loop.call_soon(go_on.set)
        assert files(tmp_path) == []
        status = await store.status()
        assert (status.ready, status.nbytes, status.accepted) == (0, 0, 0)
        await store.put(item(2))
        assert await drain(store) == [2]


@pytest.mark.usefixtures("from_disk")
async def test_a_cancelled_lease_gives_the_item_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, go_on = anyio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    load = spool_folder.SpoolFolder.load

    def slow(folder: spool_folder.SpoolFolder, entry: spool_folder.Entry, is_noted: bool) -> Item:
        loaded = load(folder, entry, is_noted)
        loop.call_soon_threadsafe(at_work.set)
        assert go_on.wait(10)
        return loaded

    async with Spool(str(tmp_path)).open() as store:
        await store.put(item(1))
        monkeypatch.setattr(spool_folder.SpoolFolder, "load", slow)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.lease)
            await at_work.wait()
            tasks.cancel_scope.cancel()
            loop.call_soon(go_on.set)
        lease = await store.lease()
        assert (number(lease.item), lease.attempt) == (1, 1)
        await store.ack(lease)
    assert files(tmp_path) == []


class Canceller:
    """Cancels what waits for the file work of a spool: before that is done, after it, or never, in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
        self.scope = anyio.CancelScope()
        self.cancelled = 0
        moments = itertools.cycle(["before", "after", "never"])
        loop = asyncio.get_running_loop()
        function = getattr(spool_folder.SpoolFolder, work)

        def cancel() -> None:
            done = threading.Event()
            loop.call_soon_threadsafe(lambda: (self.scope.cancel(), loop.call_soon(done.set)))
            assert done.wait(10)
            self.cancelled += 1

        def wrapper(*args: object) -> object:
            moment = next(moments)
            if moment == "before":
                cancel()
            returned = function(*args)
            if moment == "after":
                cancel()
            return returned

        monkeypatch.setattr(spool_folder.SpoolFolder, work, wrapper)


async def test_cancelled_puts_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []
    canceller = Canceller(monkeypatch, "store")
    async with Spool(str(tmp_path)).open() as store:
        for i in range(12):
            with anyio.CancelScope() as canceller.scope:
                if await store.put(item(i)):
                    accepted.append(i)
        assert (canceller.cancelled, accepted) == (8, [2, 5, 8, 11])
        status = await store.status()
        assert (status.accepted, status.ready) == (4, 4)
        assert await drain(store) == accepted
    assert files(tmp_path) == []


@pytest.mark.usefixtures("from_disk")
async def test_cancelled_leases_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered: list[int] = []
    canceller = Canceller(monkeypatch, "load")
    async with Spool(str(tmp_path)).open() as store:
        for i in range(4):
            await store.put(item(i))
        while len(delivered) < 4:
            with anyio.CancelScope() as canceller.scope:
                lease = await store.lease()
                delivered.append(number(lease.item))
                await store.ack(lease)
    assert (canceller.cancelled, delivered) == (8, [0, 1, 2, 3])
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("work", "end"), [("remove", "ack"), ("release", "nack"), ("bury", "bury"), ("revive", "replay")]
)
async def test_what_settles_an_item_settles_it_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str, end: str
) -> None:
    async with Spool(str(tmp_path), max_attempts=9).open() as store:
        for i in range(3):
            await store.put(item(i))
            if end == "replay":
                await store.bury(await store.lease(), reason="400")
        with monkeypatch.context() as patch:
            canceller = Canceller(patch, work)
            for _ in range(3):
                with anyio.CancelScope() as canceller.scope:
                    if end == "replay":
                        await store.replay()
                        continue
                    lease = await store.lease()
                    if end == "ack":
                        await store.ack(lease)
                    elif end == "nack":
                        await store.nack(lease, delay=3600, reason="503")
                    else:
                        await store.bury(lease, reason="400")
        status = await store.status()
        held = {"ack": (0, 0, 0, 0), "nack": (0, 0, 3, 0), "bury": (0, 0, 0, 3), "replay": (3, 0, 0, 0)}[end]
        assert (status.ready, status.leased, status.delayed, status.dead) == held
    async with Spool(str(tmp_path), max_attempts=1).open() as store:
        status = await store.status()
        assert status.ready + status.dead == sum(held)


async def test_files_are_forced_to_the_disk_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced = anyio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(open_spool, "HOUSEKEEPING_SECONDS", 3600)
    async with Spool(str(tmp_path), fsync="interval").open() as store:
        with disk(monkeypatch) as watched:
            await store.put(item(0))
            await store.ack(await store.lease())
            for i in range(1, 21):
                await store.put(item(i))
            assert "fsync" not in watched.calls

            def failing(name: str, *args: object) -> int:
                if watched.calls.count("fsync") == 21:  # the files that are still there, and their folder
                    loop.call_soon_threadsafe(forced.set)
                return 0

            watched.failing = failing
            monkeypatch.setattr(open_spool, "HOUSEKEEPING_SECONDS", 0)
            store._tasks.start_soon(store._keep_house)
            await forced.wait()


async def test_files_that_the_disk_does_not_take_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with disk(monkeypatch) as watched:
        async with Spool(str(tmp_path), fsync="interval").open() as store:
            await store.put(item(1))
            await store.put(item(2))
            watched.refuse("fsync", errno.EIO)
        assert watched.calls.count("fsync") == 2 + 3  # two when the folder was made
    assert caplog.text.count("items may not outlive a power loss") == 3
    async with Spool(str(tmp_path)).open() as store:
        assert await drain(store) == [1, 2]


@pytest.mark.parametrize("fsync", ["always", "interval"])
async def test_moves_are_forced_to_the_disk_where_everything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Fsync
) -> None:
    forced: list[str] = []
    async with Spool(str(tmp_path), fsync=fsync, max_attempts=9).open() as store:
        await store.put(item(1))
        monkeypatch.setattr(spool_folder, "fsync_folder", lambda path: forced.append(Path(path).name))
        await store.nack(await store.lease(), delay=0.0, reason="503")
        await store.bury(await store.lease(), reason="400")
        await store.replay()
        monkeypatch.undo()
    moves = [("leased", "ready"), ("ready", "leased"), ("leased", "ready"), ("dead", "leased"), ("ready", "dead")]
    assert forced == ([name for move in moves for name in move] if fsync == "always" else [])


async def test_folders_between_which_items_were_moved_are_forced_to_the_disk_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[str] = []
    async with Spool(str(tmp_path), fsync="interval", max_attempts=9).open() as store:
        await store.put(item(1))
        await store.bury(await store.lease(), reason="400")
        monkeypatch.setattr(spool_folder, "fsync_folder", lambda path: forced.append(Path(path).name))
        await store._tidy_up()
        assert forced == ["ready", "leased", "dead"]
        await store._tidy_up()
        assert forced[3:] == ["ready"]
        monkeypatch.undo()


async def test_the_names_of_new_folders_are_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[str] = []
    monkeypatch.setattr(durable_file, "fsync_folder", forced.append)
    async with Spool(str(tmp_path / "a" / "b" / "c")).open():
        pass
    assert sorted(forced) == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]


async def test_never_is_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_spool, "HOUSEKEEPING_SECONDS", 0)
    with disk(monkeypatch) as watched:
        async with Spool(str(tmp_path), fsync="never").open() as store:
            for i in range(20):
                await store.put(item(i))
            await drain(store)
        assert "fsync" not in watched.calls


async def test_few_payloads_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    monkeypatch.setattr(recent, "MOST_BYTES", 300_000)
    async with Spool(str(tmp_path), fsync="never").open() as store:
        await store.put(item(0, nbytes=100_000))
        tracemalloc.start()
        for i in range(200):
            await store.put(item(i, nbytes=100_000))
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 100_000 < held < 700_000
    assert peak < 2_000_000


@pytest.mark.usefixtures("from_disk")
@pytest.mark.parametrize(("code", "lost"), [(errno.EMFILE, {}), (errno.EIO, {"unreadable": 1})], ids=["EMFILE", "EIO"])
async def test_an_item_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, lost: dict[str, int]
) -> None:
    read = spool_folder.SpoolFolder._read
    refused: list[int] = []

    def refuse_once(folder: spool_folder.SpoolFolder, entry: spool_folder.Entry) -> bytes:
        if not refused:
            refused.append(entry.number)
            raise OSError(code, "refused")
        return read(folder, entry)

    monkeypatch.setattr(open_spool, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(spool_folder.SpoolFolder, "_read", refuse_once)
    async with Spool(str(tmp_path)).open() as store:
        await store.put(item(1))
        await store.put(item(2))
        lease = await store.lease()
        assert number(lease.item) == 2
        await store.ack(lease)
        if not lost:
            lease = await store.lease()
            assert (number(lease.item), lease.attempt) == (1, 1)
            await store.ack(lease)
        assert (await store.status()).lost == lost
    assert len(files(tmp_path)) == len(lost)


async def test_items_are_read_one_by_one_and_broken_ones_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(3):
            await store.put(item(i))
        (tmp_path / "ready" / "0000000000000001-0.item").write_bytes(b"broken")
        assert [number(stored.item) async for stored in store.items()] == [0, 2]

        def refuse(*args: object) -> bytes:
            raise PermissionError("not yours")

        monkeypatch.setattr(spool_folder.SpoolFolder, "_read", refuse)
        with pytest.raises(DeliveryError, match="an item cannot be read: not yours"):
            [stored async for stored in store.items()]


async def test_items_that_go_meanwhile_are_left_out(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(5):
            await store.put(item(i))
        seen = []
        async for stored in store.items():
            seen.append(stored.number)
            if stored.number == 0:
                for _ in range(2):
                    await store.ack(await store.lease())
        assert seen == [0, 2, 3, 4]
        leases = [await store.lease() for _ in range(3)]
        for lease in leases:
            await store.bury(lease, reason="400")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(store.purge, dead_only=True))
            await store.replay([lease.item.key for lease in leases])
        status = await store.status()
        assert status.ready + status.lost["purged"] == 3
        assert (status.dead, len(files(tmp_path))) == (0, status.ready)


async def test_a_mistake_while_removing_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(2):
            await store.put(item(i))
        with monkeypatch.context() as mistaken:
            mistaken.setattr(store._folder, "remove", lambda _: 1 / 0)
            await store.ack(await store.lease())
        assert "cannot be removed yet" in caplog.text
        with anyio.fail_after(20):
            await store.ack(await store.lease())
    assert files(tmp_path) == []
