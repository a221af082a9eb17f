"""What a spool makes of what the last process left."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from spool_fixtures import disk, drain, files, item, number

from aiohooks.delivery.spool import Spool

pytestmark = pytest.mark.anyio

FIRST = "0000000000000000-0.item"


async def fill(folder: Path, count: int = 3) -> None:
    async with Spool(str(folder)).open() as store:
        for i in range(count):
            await store.put(item(i))


def leave_in_hand(folder: Path, name: str) -> None:
    """As if the process had died while it delivered the item."""
    (folder / "ready" / name).rename(folder / "leased" / name)


async def test_what_was_being_written_is_swept(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "tmp" / "0000000000000003-0.item").write_bytes(b"half")
    (tmp_path / "tmp" / "spool.json").write_bytes(b"half")
    async with Spool(str(tmp_path)).open() as store:
        assert await drain(store) == [0, 1, 2]
    assert files(tmp_path) == []


async def test_new_items_come_after_all_old_ones_wherever_those_are(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    async with Spool(str(tmp_path)).open() as store:
        await store.bury(await store.lease(), reason="400")
    async with Spool(str(tmp_path)).open() as store:
        await store.put(item(1))
        await store.replay()
        assert await drain(store) == [0, 1]


async def test_an_item_that_takes_the_process_down_becomes_a_dead_letter(tmp_path: Path) -> None:
    await fill(tmp_path, 2)
    spool = Spool(str(tmp_path), max_attempts=3)
    for crashes in range(2):
        leave_in_hand(tmp_path, f"0000000000000000-{crashes}.item")
        async with spool.open() as store:
            lease = await store.lease()
            assert (number(lease.item), lease.attempt) == (0, crashes + 2)
    leave_in_hand(tmp_path, "0000000000000000-2.item")
    async with spool.open() as store:
        assert await drain(store) == [1]
        (dead,) = [stored async for stored in store.items(dead_only=True)]
        assert number(dead.item) == 0
        assert dead.dead is not None
        assert dead.dead.reason == "the process died 3 times while it had this item in hand"
        await store.replay()
        lease = await store.lease()
        assert lease.attempt == 1
    leave_in_hand(tmp_path, FIRST)
    async with spool.open() as store:
        assert (await store.status()).dead == 0


async def test_without_a_bound_an_item_is_tried_for_ever(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    for crashes in range(12):
        leave_in_hand(tmp_path, f"0000000000000000-{crashes}.item")
        async with Spool(str(tmp_path)).open() as store:
            assert (await store.status()).ready == 1


BREAK: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off in the head": lambda data: data[:30],
    "cut off in the payload": lambda data: data[:-1],
    "grown": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "another head": lambda data: data.replace(b"cam", b"cat"),
    "another payload": lambda data: data[:-1] + b"!",
}


@pytest.mark.parametrize("place", ["ready", "leased"])
@pytest.mark.parametrize("damage", BREAK)
async def test_a_broken_file_is_counted_and_kept_apart(tmp_path: Path, damage: str, place: str) -> None:
    await fill(tmp_path)
    if place == "leased":
        leave_in_hand(tmp_path, FIRST)
    path = tmp_path / place / FIRST
    path.write_bytes(BREAK[damage](path.read_bytes()))
    async with Spool(str(tmp_path)).open() as store:
        assert await drain(store) == [1, 2]
        assert (await store.status()).lost == {"corrupt": 1}
        await store.put(item(3))
        assert await drain(store) == [3]
    (left,) = files(tmp_path)
    assert left.startswith("corrupt/0000000000000000-")
    async with Spool(str(tmp_path)).open() as store:
        assert (await store.status()).lost == {"corrupt": 1}
        await store.purge()
    assert files(tmp_path) == []


async def test_a_file_that_somebody_removed_is_counted(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with Spool(str(tmp_path)).open() as store:
        (tmp_path / "ready" / FIRST).unlink()
        assert await drain(store) == [1, 2]
        status = await store.status()
        assert (status.lost, status.nbytes) == ({"missing": 1}, 0)


async def test_a_broken_dead_letter_is_counted_too(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    async with Spool(str(tmp_path)).open() as store:
        await store.bury(await store.lease(), reason="400")
    (tmp_path / "dead" / FIRST).write_bytes(b"")
    async with Spool(str(tmp_path)).open() as store:
        status = await store.status()
    assert (status.dead, status.lost) == (0, {"corrupt": 1})


async def test_counts_that_cannot_be_read_start_anew(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "spool.json").write_bytes(b"")
    async with Spool(str(tmp_path)).open() as store:
        assert (await store.status()).accepted == 0
        assert await drain(store) == [0, 1, 2]


async def test_files_that_are_none_of_ours_stay(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    (tmp_path / "ready" / "README").write_text("mine")
    async with Spool(str(tmp_path)).open() as store:
        assert await drain(store) == [0]
        await store.purge()
    assert files(tmp_path) == ["ready/README"]


async def test_a_start_on_a_disk_that_refuses_to_move_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(tmp_path)
    leave_in_hand(tmp_path, FIRST)
    with disk(monkeypatch) as watched:
        watched.refuse("replace", errno.ENOSPC)
        async with Spool(str(tmp_path)).open() as store:
            assert await drain(store) == [0, 1, 2]
    assert files(tmp_path) == []


async def test_a_start_that_is_cancelled_leaves_the_folder(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with Spool(str(tmp_path)).open():
            raise AssertionError("it was cancelled")
    async with Spool(str(tmp_path)).open() as store:
        assert await drain(store) == [0]


@pytest.mark.usefixtures("no_thread")
async def test_a_start_that_is_cancelled_when_it_has_the_folder_gives_it_back(tmp_path: Path) -> None:
    store = Spool(str(tmp_path)).open()
    tasks = asyncio.all_tasks()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.__aenter__()
    assert scope.cancelled_caught
    assert asyncio.all_tasks() == tasks
    async with Spool(str(tmp_path)).open() as other:
        await other.put(item(1))
    await store.aclose()


@pytest.mark.parametrize(("first", "second"), [("ready", "leased"), ("ready", "dead"), ("leased", "dead")])
async def test_of_two_files_of_a_number_one_is_kept(tmp_path: Path, first: str, second: str) -> None:
    await fill(tmp_path, 2)
    name = "0000000000000001-0.item"
    record = (tmp_path / "ready" / name).read_bytes()
    (tmp_path / "ready" / name).unlink()
    for place in (first, second):
        (tmp_path / place / name).write_bytes(record)
    async with Spool(str(tmp_path), max_attempts=5).open() as store:
        status = await store.status()
        assert (status.ready, status.dead, status.nbytes) == (2, 0, 2 * len(record))
        assert await drain(store) == [0, 1]
        assert (await store.status()).nbytes == 0
    async with Spool(str(tmp_path)).open() as store:
        assert (await store.status()).ready == 0
