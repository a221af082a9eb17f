"""Whose turn it is in a spool: nobody waits behind what fails again and again."""

import errno
import gc
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spool_fixtures import drain, item, number
from virtual_clock import run_virtual

from aiohooks.backoff import Backoff
from aiohooks.delivery import open_spool, removal
from aiohooks.delivery.entry import Entry
from aiohooks.delivery.index import Index
from aiohooks.delivery.item import Item
from aiohooks.delivery.spool import Spool
from aiohooks.delivery.worker import DeliveryWorker
from aiohooks.errors import ActionError


@pytest.mark.usefixtures("no_thread")
@pytest.mark.parametrize("failing", [6, 20])
def test_items_that_always_fail_do_not_starve_the_others(tmp_path: Path, failing: int) -> None:
    async def main() -> None:
        delivered: dict[int, float] = {}

        async def deliver(one: Item, _: int) -> None:
            if number(one) < failing:
                raise ActionError("the server answered 500", status=500)
            delivered[number(one)] = anyio.current_time()

        async with Spool(str(tmp_path), fsync="never").open() as store, anyio.create_task_group() as tasks:
            for i in range(failing):
                await store.put(item(i))
            worker = DeliveryWorker(
                "hook", store, deliver, max_concurrency=4, rate=None, ordered=False, timeout=10.0,
                backoff=Backoff(0.5, 60.0), jitter=lambda: 1.0,
            )  # fmt: skip
            tasks.start_soon(worker.run)
            await anyio.sleep(3600)
            for i in range(failing, failing + 100):
                accepted = anyio.current_time()
                await store.put(item(i))
                await anyio.sleep(60)
                # While the server is left alone for the sake of what is in hand, at most a minute for each of four.
                assert delivered.get(i - 5, accepted) - accepted <= 300
            assert len(delivered) >= 95
            tasks.cancel_scope.cancel()

    run_virtual(main)


@pytest.mark.anyio
async def test_what_was_put_off_less_often_goes_first_and_what_is_given_back_keeps_its_turn(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(3):
            await store.put(item(i))
        for delay in (0.001, 0.0):
            await store.nack(await store.lease(), delay=delay, reason="503")
        await anyio.sleep(0.01)
        assert await drain(store) == [1, 2, 0]


@pytest.mark.anyio
async def test_in_order_a_source_waits_for_what_is_in_hand_of_it(tmp_path: Path) -> None:
    async with Spool(str(tmp_path)).open() as store:
        for i in range(100):
            await store.put(item(i, source="a"))
        await store.put(item(100, source="b"))
        first, other = await store.lease(in_order=True), await store.lease(in_order=True)
        assert (number(first.item), number(other.item)) == (0, 100)
        for settle in (store.ack, store.nack, store.bury):
            how: dict[str, Any] = {"nack": {"delay": 0.0, "reason": ""}, "bury": {"reason": ""}}.get(
                settle.__name__, {}
            )
            leased: list[Any] = []

            async def lease(into: list[Any] = leased) -> None:
                into.append(await store.lease(in_order=True))

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lease)
                    await anyio.wait_all_tasks_blocked()
                    assert not leased
                    await settle(first, **how)
            (first,) = leased
        assert number(first.item) == 2


def entry(number: int, source: str = "") -> Entry:
    return Entry(number, 1, 0.0, source=source)


def test_what_nobody_takes_and_the_spool_drops_is_forgotten() -> None:
    index = Index(10, 10)
    for i in range(20_000):
        if not index.fits(1):
            oldest = index.oldest_that_may_go
            assert oldest is not None
            index.leave(oldest)
            index.gone(oldest)
        index.add(entry(i, f"{i % 3}"))
    assert sum(isinstance(one, Entry) for one in gc.get_objects()) < 1000
    assert len(index._turns._firsts) < 1000
    del oldest


STEPS = st.lists(st.tuples(st.sampled_from(["add", "take", "in order", "back", "delay", "drop"]), st.integers(0, 7)))


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_turns_are_what_a_sorted_list_says(steps: list[tuple[str, int]]) -> None:
    index = Index(1000, 1000)
    ready: list[Entry] = []
    leased: list[Entry] = []
    count = 0
    for now, (step, choice) in enumerate(steps):
        if step == "add":
            new = entry(count, f"{choice % 3}")
            count += 1
            index.add(new)
            ready.append(new)
        elif step in ("take", "in order"):
            busy = Counter(one.source for one in leased) if step == "in order" else Counter()
            expected = min(
                (one for one in ready if not busy[one.source]), key=lambda one: (one.delays, one.number), default=None
            )
            assert index.take(now, in_order=step == "in order") is expected
            if expected is not None:
                ready.remove(expected)
                leased.append(expected)
        elif step in ("back", "delay") and leased:
            one = leased.pop(choice % len(leased))
            if step == "back":
                index.give_back(one)
            else:
                index.delay(one, now)  # due at the next step
            ready.append(one)
        elif step == "drop" and ready:
            one = ready.pop(choice % len(ready))
            index.leave(one)
            index.gone(one)
    assert index.ready + index.delayed == len(ready)


def test_in_order_nobody_waits_for_files_to_be_removed_together(tmp_path: Path) -> None:
    """With an item of another source in hand, each item of a source is removed before the next is delivered, and at once."""

    async def main() -> None:
        delivered, all_of_one = Counter[str](), anyio.Event()

        async def deliver(one: Item, _: int) -> None:
            delivered[one.source] += 1
            if one.source == "slow":
                await anyio.sleep(60)
            elif delivered["cam"] == 50:
                all_of_one.set()

        async with Spool(str(tmp_path), fsync="never").open() as store, anyio.create_task_group() as tasks:
            await store.put(item(0, source="slow"))
            for i in range(1, 51):
                await store.put(item(i, source="cam"))
            worker = DeliveryWorker(
                "hook",
                store,
                deliver,
                max_concurrency=4,
                rate=None,
                ordered=True,
                timeout=100.0,
                backoff=Backoff(0.5, 60.0),
            )
            started = anyio.current_time()
            tasks.start_soon(worker.run)
            await all_of_one.wait()
            assert anyio.current_time() - started < 50 * removal.GATHER_SECONDS / 2
            tasks.cancel_scope.cancel()

    anyio.run(main)


@pytest.mark.anyio
async def test_in_order_nothing_goes_before_what_cannot_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_spool, "RETRY_SECONDS", 0.01)
    async with Spool(str(tmp_path)).open() as store:
        for i in range(3):
            await store.put(item(i, source="a"))
        await store.put(item(3, source="b"))
    async with Spool(str(tmp_path)).open() as store:
        read, refused = store._folder._read, []

        def refuse_once(entry: Entry) -> bytes:
            if not refused:
                refused.append(entry.number)
                raise OSError(errno.EMFILE, "refused")
            return read(entry)

        monkeypatch.setattr(store._folder, "_read", refuse_once)
        leased = []
        for _ in range(4):
            lease = await store.lease(in_order=True)
            leased.append(number(lease.item))
            await store.ack(lease)
        assert leased == [3, 0, 1, 2]


def test_what_is_set_aside_and_dropped_holds_up_nobody() -> None:
    index = Index(10, 1000)
    for i in range(2):
        index.add(Entry(i, 1, 0.0, source="a"))
    first = index.take(0.0, in_order=True)
    assert first is not None
    index.set_aside(first, 1000.0)
    assert index.take(0.0, in_order=True) is None
    index.leave(first)
    second = index.take(0.0, in_order=True)
    assert second is not None
    assert second.number == 1


@pytest.mark.anyio
async def test_whoever_waits_hears_of_what_cannot_be_read_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another was reading it when they began to wait."""
    monkeypatch.setattr(open_spool, "RETRY_SECONDS", 0.2)
    async with Spool(str(tmp_path)).open() as store:
        await store.put(item(0))
    async with Spool(str(tmp_path)).open() as store:
        reading, refuse = anyio.Event(), threading.Event()

        def refused(entry: Entry) -> bytes:
            anyio.from_thread.run_sync(reading.set, token=token)
            refuse.wait()
            raise OSError(errno.EMFILE, "refused")

        token = anyio.lowlevel.current_token()
        with monkeypatch.context() as disk:
            disk.setattr(store._folder, "_read", refused)
            async with anyio.create_task_group() as tasks:
                gives_up = anyio.CancelScope()

                async def first() -> None:
                    with gives_up:
                        await store.lease()

                tasks.start_soon(first)
                await reading.wait()
                leased: list[Any] = []

                async def second() -> None:
                    leased.append(await store.lease())

                tasks.start_soon(second)
                await anyio.wait_all_tasks_blocked()
                disk.undo()
                refuse.set()
                while not (await store.status()).delayed:  # noqa: ASYNC110  # there is no event
                    await anyio.sleep(0.001)
                gives_up.cancel()
        assert number(leased[0].item) == 0


def test_what_was_dropped_is_forgotten() -> None:
    """Items that failed wait behind those that did not, and are the oldest: they are dropped from the middle of their line."""
    index, number, now = Index(100, 1000), 0, 0.0
    held = []
    for _ in range(20):
        for i in range(150):
            now += 0.01
            while not index.fits(1):
                oldest = index.oldest_that_may_go
                assert oldest is not None
                index.leave(oldest)
                index.gone(oldest)
            index.add(Entry(number, 1, 0.0, source="cam"))
            number += 1
            if i % 3 == 0:
                taken = index.take(now)
                assert taken is not None
                index.delay(taken, now + 0.02)
        held.append(sum(map(len, index._turns._lines.values())))
    assert max(held) <= 2 * 100 + 64
    assert index.ready + index.delayed == len(index) == 100
    assert sum(index.take(now + 1.0) is not None for _ in range(200)) == 100


def test_what_is_given_back_again_and_again_takes_no_memory() -> None:
    index = Index(10, 1000)
    for i in range(3):
        index.add(Entry(i, 1, 0.0, source="cam"))
    for _ in range(500):
        taken = index.take(0.0)
        assert taken is not None
        index.give_back(taken)
    assert len(index._turns._firsts) < 100
    left = [index.take(0.0) for _ in range(3)]
    assert [entry and entry.number for entry in left] == [0, 1, 2]


def test_what_is_revived_has_its_old_place_whatever_comes_meanwhile() -> None:
    index = Index(10_000, 1 << 30)
    for i in range(2000):
        index.add(Entry(i, 1, 0.0, source="cam"))
    dead = [entry for _ in range(1000) if (entry := index.take(0.0))]
    for entry in reversed(dead):
        index.bury(entry)
    left = set()
    for step, _ in enumerate(index.revive(dead)):
        index.add(Entry(3000 + step, 1, 0.0, source="cam"))
        leaving = [*index.waiting()][step]
        left.add(leaving.number)
        index.leave(leaving)
    assert index.dead == 0
    numbers = [entry.number for entry in index.waiting()]
    assert numbers == sorted(numbers)
    assert {*numbers} | left == {*range(2000)} | {*range(3000, 3001 + step)}
    assert list(index.revive(dead)) == []


def test_of_many_that_are_due_a_few_become_ready_at_once() -> None:
    index = Index(1000, 1 << 30)
    for i in range(500):
        index.add(Entry(i, 1, 0.0, source="cam"))
    for entry in [index.take(0.0) for _ in range(500)]:
        assert entry is not None
        index.delay(entry, 1.0)
    assert index.take(2.0) is not None
    assert index.ready < 100
    assert sum(index.take(2.0) is not None for _ in range(499)) == 499


def test_dead_items_take_nothing_of_what_is_to_be_kept_free() -> None:
    index = Index(10, 1000)
    for i in range(8):
        index.add(Entry(i, 10, 0.0, source="cam"))
    assert index.filled == 0.8
    for _ in range(6):
        entry = index.take(0.0)
        assert entry is not None
        index.bury(entry)
    assert index.filled == 0.5
    list(index.revive([entry for entry in index.dead_ones() if entry.number < 3]))
    assert index.filled == 5 / 7
    for entry in index.dead_ones():
        index.leave(entry)
        index.gone(entry)
    assert index.filled == 0.5
