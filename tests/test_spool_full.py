"""A spool without room, and a disk that refuses."""

import errno
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from spool_fixtures import Disk, disk, drain, files, item, number

from aiohooks.delivery import admission, open_spool
from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.record import record_bytes
from aiohooks.delivery.spool import Spool
from aiohooks.errors import DeliveryError

pytestmark = pytest.mark.anyio

SIZE = record_bytes(item(0))
BOUNDS = [{"max_items": 3}, {"max_bytes": 3 * SIZE}, {"max_bytes": 4 * SIZE - 1}]


async def put_all(store: OpenSpool, *numbers: int) -> list[bool]:
    return [await store.put(item(i)) for i in numbers]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
async def test_block_waits_for_room(tmp_path: Path, bounds: dict[str, int]) -> None:
    async with Spool(str(tmp_path), **bounds).open() as store:  # type: ignore[arg-type]
        await put_all(store, 1, 2, 3)
        async with anyio.create_task_group() as tasks:
            for i in (4, 5):
                tasks.start_soon(store.put, item(i))
            await anyio.wait_all_tasks_blocked()
            assert (await store.status()).accepted == 3
            await store.ack(await store.lease())
            await anyio.wait_all_tasks_blocked()
            while (await store.status()).accepted < 4:
                await anyio.lowlevel.checkpoint()
            assert (await store.status()).nbytes <= 3 * SIZE
            await store.ack(await store.lease())
        assert await drain(store) == [3, 4, 5]
        assert (await store.status()).lost == {}


async def test_a_put_that_waits_for_room_can_be_cancelled(tmp_path: Path) -> None:
    async with Spool(str(tmp_path), max_items=1).open() as store:
        await put_all(store, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.put, item(2))
            tasks.start_soon(store.put, item(3))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert await drain(store) == [1]
        await put_all(store, 4)
        assert await drain(store) == [4]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
async def test_raise_says_what_it_is_full_of(tmp_path: Path, bounds: dict[str, int]) -> None:
    async with Spool(str(tmp_path), full="raise", **bounds).open() as store:  # type: ignore[arg-type]
        await put_all(store, 1, 2, 3)
        await store.bury(await store.lease(), reason="400")
        with pytest.raises(DeliveryError, match=rf"full with 3 items of {3 * SIZE} bytes, 1 of them dead letters"):
            await store.put(item(4))
        await store.ack(await store.lease())
        await put_all(store, 4)
        assert await drain(store) == [3, 4]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
async def test_drop_newest_counts(tmp_path: Path, bounds: dict[str, int]) -> None:
    async with Spool(str(tmp_path), full="drop_newest", **bounds).open() as store:  # type: ignore[arg-type]
        assert await put_all(store, 1, 2, 3, 4, 5) == [True, True, True, False, False]
        status = await store.status()
        assert (status.accepted, status.lost) == (3, {"dropped_newest": 2})
        assert await drain(store) == [1, 2, 3]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
async def test_drop_oldest_takes_dead_letters_first_and_nothing_that_is_in_hand(
    tmp_path: Path, bounds: dict[str, int]
) -> None:
    async with Spool(str(tmp_path), full="drop_oldest", **bounds).open() as store:  # type: ignore[arg-type]
        await put_all(store, 1, 2, 3)
        held = await store.lease()
        await store.nack(await store.lease(), delay=3600, reason="503")
        await store.bury(await store.lease(), reason="400")
        assert await put_all(store, 4) == [True]
        assert (await store.status()).lost == {"dropped_dead": 1}
        assert await put_all(store, 5, 6) == [True, True]
        status = await store.status()
        assert (status.delayed, status.lost) == (0, {"dropped_dead": 1, "dropped_oldest": 2})
        other = [await store.lease(), await store.lease()]
        assert [number(lease.item) for lease in other] == [5, 6]
        assert await put_all(store, 7) == [False]
        assert (await store.status()).lost["dropped_newest"] == 1
        for lease in [held, *other]:
            await store.ack(lease)
    assert files(tmp_path) == []


async def test_a_replayed_item_is_as_old_as_it_was(tmp_path: Path) -> None:
    async with Spool(str(tmp_path), max_items=3, full="drop_oldest").open() as store:
        await put_all(store, 1)
        await store.bury(await store.lease(), reason="400")
        await put_all(store, 2, 3)
        younger = (await store.status()).oldest_seconds
        await store.replay()
        older = (await store.status()).oldest_seconds
        assert older is not None
        assert younger is not None
        assert older > younger + 0.5  # one second, as these items have it
        await put_all(store, 4)
        assert await drain(store) == [2, 3, 4]


async def test_what_can_never_fit(tmp_path: Path) -> None:
    async with Spool(str(tmp_path), max_bytes=SIZE).open() as store:
        await put_all(store, 1)
        with pytest.raises(DeliveryError, match=rf"can never be kept: it takes {SIZE + 1} bytes, and the spool {SIZE}"):
            await store.put(item(2, nbytes=21))
    async with Spool(str(tmp_path), max_bytes=SIZE, full="drop_oldest").open() as store:
        assert not await store.put(item(2, nbytes=21))
        assert (await store.status()).lost == {"too_large": 1}
        assert await drain(store) == [1]


async def test_losses_are_counted_over_restarts(tmp_path: Path) -> None:
    for _ in range(3):
        async with Spool(str(tmp_path), max_items=1, full="drop_newest").open() as store:
            await put_all(store, 1, 2)
            await drain(store)
    async with Spool(str(tmp_path)).open() as store:
        status = await store.status()
    assert (status.accepted, status.delivered, status.lost) == (3, 3, {"dropped_newest": 3})


STEPS = [("open", "tmp"), ("write", ""), ("fsync", ""), ("replace", "tmp"), ("open", "ready")]
"""Where the accepting of an item can fail: its file's folder is forced to the disk after being opened."""


def refuse(watched: Disk, step: tuple[str, str], code: int) -> None:
    call, place = step
    watched.refuse(call, code, f"/{place}/" if place else "")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("full", ["block", "raise", "drop_newest", "drop_oldest"])
async def test_what_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str, step: tuple[str, str], code: int
) -> None:
    monkeypatch.setattr(admission, "RETRY_SECONDS", 0.001)
    async with Spool(str(tmp_path), fsync="always", full=full).open() as store:  # type: ignore[arg-type]
        await put_all(store, 1)
        with disk(monkeypatch) as watched:
            refuse(watched, step, code)
            if full == "block":
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(store.put, item(2))
                    while watched.calls.count(step[0]) < 5:
                        await anyio.lowlevel.checkpoint()
                    assert (await store.status()).accepted == 1
                    watched.mend()
                kept = [1, 2]
            elif full == "raise":
                with pytest.raises(DeliveryError, match="cannot be written"):
                    await store.put(item(2))
                kept = [1]
            else:
                assert await put_all(store, 2) == [False]
                kept = [] if full == "drop_oldest" and code == errno.ENOSPC else [1]
            watched.mend()
        lost = {"write_failed": 1} if full.startswith("drop") else {}
        if not kept:
            lost["dropped_oldest"] = 1  # to make room, which did not help
        status = await store.status()
        assert (status.lost, status.ready, status.nbytes) == (lost, len(kept), len(kept) * SIZE)
        assert len(files(tmp_path)) == len(kept)
        assert await put_all(store, 3) == [True]
        assert await drain(store) == [*kept, 3]
    assert files(tmp_path) == []


async def test_dropping_the_oldest_makes_room_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Spool(str(tmp_path), full="drop_oldest").open() as store:
        await put_all(store, 1, 2, 3)
        with disk(monkeypatch) as watched:
            room = 0

            def failing(name: str, *args: object) -> int:
                nonlocal room
                room += name == "unlink" and "/ready/" in str(args[0])
                return errno.ENOSPC if name == "write" and not room else 0

            watched.failing = failing
            assert await put_all(store, 4) == [True]
        assert (await store.status()).lost == {"dropped_oldest": 1}
        assert await drain(store) == [2, 3, 4]


async def test_an_item_that_cannot_be_removed_is_not_delivered_again_and_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Spool(str(tmp_path)).open() as store:
        await put_all(store, 1, 2)
        with disk(monkeypatch) as watched:
            watched.refuse("unlink", errno.EIO)
            await store.ack(await store.lease())
        status = await store.status()
        assert (status.ready, status.leased, status.nbytes, status.delivered) == (1, 0, 2 * SIZE, 1)
        assert len(files(tmp_path)) == 2
    assert files(tmp_path) == ["ready/0000000000000001-0.item"]


async def test_a_disk_that_refuses_to_move_files_can_be_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Spool(str(tmp_path)).open() as store:
        await put_all(store, 1, 2, 3)
        with disk(monkeypatch) as watched:
            watched.refuse("replace")
            await store.nack(await store.lease(), delay=0, reason="503")
            await store.bury(await store.lease(), reason="400")
            assert (await store.status()).dead == 1
            assert await drain(store) == [2, 3]
        assert files(tmp_path) == ["ready/0000000000000000-0.item"]
        assert await store.replay() == 1
        assert await drain(store) == [1]


async def test_the_quarantine_gives_way_to_items(tmp_path: Path) -> None:
    async with Spool(str(tmp_path), max_bytes=3 * SIZE).open() as store:
        await put_all(store, 1, 2)
    broken = tmp_path / "ready" / "0000000000000000-0.item"
    broken.write_bytes(broken.read_bytes()[:-1] + b"!")
    async with Spool(str(tmp_path), max_bytes=3 * SIZE).open() as store:
        assert await drain(store) == [2]
        assert files(tmp_path) == ["corrupt/0000000000000000-0.item"]
        await put_all(store, 3, 4)
        assert "corrupt/0000000000000000-0.item" in files(tmp_path)
        await put_all(store, 5)
        assert "corrupt/0000000000000000-0.item" not in files(tmp_path)
        assert await drain(store) == [3, 4, 5]
        assert (await store.status()).lost == {"corrupt": 1}


async def test_a_file_that_is_too_large_for_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for full in ("block", "drop_newest"):
        async with Spool(str(tmp_path), full=full).open() as store:  # type: ignore[arg-type]
            with disk(monkeypatch) as watched:
                watched.refuse("write", errno.EFBIG)
                if full == "block":
                    with pytest.raises(
                        DeliveryError, match=r"can never be kept: .* more than the system writes into one file"
                    ):
                        await store.put(item(1))
                else:
                    assert not await store.put(item(1))
            lost = (await store.status()).lost
        assert lost == ({} if full == "block" else {"too_large": 1})
    assert files(tmp_path) == []


@pytest.mark.usefixtures("from_disk")
async def test_on_a_full_disk_the_quarantine_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Spool(str(tmp_path), full="drop_oldest").open() as store:
        await put_all(store, 1, 2)
        (tmp_path / "ready" / "0000000000000000-0.item").write_bytes(b"broken")
        lease = await store.lease()
        await store.nack(lease, delay=0, reason="503")
        with disk(monkeypatch) as watched:
            watched.failing = lambda name, *_: (
                errno.ENOSPC if name == "write" and "unlink" not in watched.calls[:-3] else 0
            )
            assert await put_all(store, 3) == [True]
        assert (await store.status()).lost == {"corrupt": 1}
        assert await drain(store) == [2, 3]
    assert files(tmp_path) == []


async def test_what_could_not_be_removed_is_removed_while_the_spool_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_spool, "HOUSEKEEPING_SECONDS", 0)
    async with Spool(str(tmp_path), max_items=1).open() as store:
        await put_all(store, 1)
        with disk(monkeypatch) as watched:
            watched.refuse("unlink", errno.EIO)
            await store.ack(await store.lease())
            while watched.calls.count("unlink") < 3:
                await anyio.lowlevel.checkpoint()
        await put_all(store, 2)  # waits until it is removed
        assert await drain(store) == [2]


async def test_a_dead_letter_that_cannot_be_moved_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Spool(str(tmp_path)).open() as store:
        await put_all(store, 1)
        await store.bury(await store.lease(), reason="400")
        with disk(monkeypatch) as watched:
            watched.refuse("replace", errno.EIO)
            with pytest.raises(DeliveryError, match="a dead letter cannot be moved"):
                await store.replay()
        assert (await store.status()).dead == 1
        assert await store.replay() == 1
