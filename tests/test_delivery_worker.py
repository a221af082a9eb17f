"""What a delivery worker does with the items of a store, in virtual time."""

import asyncio
import itertools
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore
from virtual_clock import run_virtual

from aiohooks.backoff import Backoff
from aiohooks.delivery.item import Item, Lease
from aiohooks.delivery.pace import Pace
from aiohooks.delivery.worker import SETTLE_SECONDS, WAITING, Delivered, DeliveryWorker
from aiohooks.errors import ActionError
from aiohooks.rate import Rate

DOWN = ActionError("down", may_pass=True)
Deliver = Callable[[Item, int], Awaitable[Any]]


def worker_of(store: MemoryStore, deliver: Deliver, **how: Any) -> DeliveryWorker:
    given: dict[str, Any] = {
        "max_concurrency": 4, "rate": None, "ordered": False, "timeout": 10.0, "backoff": Backoff(1.0, 60.0),
        "jitter": lambda: 1.0,
    }  # fmt: skip
    return DeliveryWorker("hook", store, deliver, **given | how)


def item(number: int, source: str = "") -> Item:
    return Item(key=f"{number}", source=source, accepted_at=0.0, payload=b"%d" % number)


async def filled(count: int, source: Callable[[int], str] = lambda _: "") -> MemoryStore:
    store = MemoryStore()
    for number in range(count):
        await store.put(item(number, source(number)))
    return store


async def until_drained(worker: DeliveryWorker) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await worker.drained()
        tasks.cancel_scope.cancel()


def balanced(worker: DeliveryWorker) -> bool:
    counts = worker.counts
    return counts.attempts == counts.delivered + counts.retried + counts.dead + counts.interrupted


def test_everything_is_delivered_a_few_at_once() -> None:
    async def main() -> None:
        store = await filled(20)
        at_once: list[int] = []
        running = 0

        async def deliver(item: Item, attempt: int) -> str:
            nonlocal running
            running += 1
            at_once.append(running)
            await anyio.sleep(1)
            running -= 1
            return f"got {item.key}"

        ended: list[Delivered] = []
        worker = worker_of(store, deliver, ended=ended.append)
        await until_drained(worker)
        assert anyio.current_time() == pytest.approx(5)
        assert max(at_once) == 4
        assert sorted(int(one.key) for one in store.delivered) == list(range(20))
        third = next(one for one in ended if one.item.key == "3")
        assert (third.value, third.attempt, third.failure) == ("got 3", 1, None)
        assert third.seconds == pytest.approx(1)
        assert (worker.counts.attempts, worker.counts.delivered) == (20, 20)

    run_virtual(main)


def test_what_may_pass_comes_back_after_growing_pauses_and_never_expires() -> None:
    async def main() -> None:
        store = await filled(1)
        times: list[float] = []
        attempts: list[int] = []

        async def deliver(_: Item, attempt: int) -> None:
            times.append(anyio.current_time())
            attempts.append(attempt)
            if attempt < 200:
                raise DOWN

        worker = worker_of(store, deliver)
        await until_drained(worker)
        assert attempts == list(range(1, 201))
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert pauses[:4] == pytest.approx([1, 2, 4, 8])
        assert max(pauses) <= 60 + 1e-6
        assert worker.counts.retried == 199
        assert balanced(worker)
        assert {reason for _, _, reason in store.nacked} == {"ActionError: down"}

    run_virtual(main)


def test_a_permanent_failure_is_buried_with_its_reason_and_holds_nobody_up() -> None:
    async def main() -> None:
        store = await filled(3)

        async def deliver(item: Item, _: int) -> None:
            if item.key == "1":
                raise ActionError("the server answered 422", status=422)

        ended: list[Delivered] = []
        worker = worker_of(store, deliver, max_concurrency=1, ended=ended.append)
        await until_drained(worker)
        assert [(one.key, reason) for one, reason in store.dead] == [("1", "ActionError: the server answered 422")]
        assert [one.key for one in store.delivered] == ["0", "2"]
        assert [one.failure is None for one in ended] == [True, False, True]
        assert worker.counts.dead == 1
        assert balanced(worker)

    run_virtual(main)


def test_an_attempt_that_hangs_is_cut_short_and_made_again() -> None:
    async def main() -> None:
        store = await filled(1)

        async def deliver(_: Item, attempt: int) -> None:
            if attempt == 1:
                await anyio.sleep_forever()

        worker = worker_of(store, deliver)
        await until_drained(worker)
        assert anyio.current_time() == pytest.approx(11)
        assert [(delay, reason) for _, delay, reason in store.nacked] == [(1.0, "no end after 10 s")]

    run_virtual(main)


def test_a_sink_that_is_down_is_probed_by_one_and_not_stormed() -> None:
    async def main() -> None:
        store = await filled(100)
        times: list[float] = []

        async def deliver(_: Item, __: int) -> None:
            times.append(anyio.current_time())
            await anyio.sleep(0.01)
            if anyio.current_time() < 3600:
                raise DOWN

        worker = worker_of(store, deliver)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await anyio.sleep(1800)
            assert worker.circuit == "open"
            await worker.drained()
            assert worker.circuit == "closed"
            tasks.cancel_scope.cancel()
        down = [time for time in times if time < 3600]
        assert len(down) < 5 + 4 + 3600 / 60 + 10  # one a minute, where 100 items could ask 6,000 times
        probes = [time for time in down if time > 1]
        assert min(later - earlier for earlier, later in itertools.pairwise(probes)) >= 1
        assert len(store.delivered) == 100
        assert balanced(worker)

    run_virtual(main)


def test_a_sink_that_asks_for_a_pause_is_left_alone_for_that_long() -> None:
    async def main() -> None:
        store = await filled(10)
        times: list[float] = []

        async def deliver(_: Item, __: int) -> None:
            times.append(anyio.current_time())
            if len(times) == 1:
                raise ActionError("later", status=503, retry_after=100)

        await until_drained(worker_of(store, deliver, max_concurrency=1))
        assert times[1] == pytest.approx(100)
        assert len(store.delivered) == 10

    run_virtual(main)


def test_a_rate_holds_for_attempts() -> None:
    async def main() -> None:
        store = await filled(21)

        async def deliver(_: Item, __: int) -> None:
            pass

        await until_drained(worker_of(store, deliver, rate=Rate(10)))
        assert anyio.current_time() == pytest.approx(2)

    run_virtual(main)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=30),
    st.dictionaries(st.integers(0, 29), st.integers(1, 4)),
    st.integers(1, 5),
)
def test_items_of_a_source_stay_in_order_whatever_fails(
    sources: list[int], failing: dict[int, int], concurrency: int
) -> None:
    async def main() -> None:
        store = await filled(len(sources), lambda number: f"camera {sources[number]}")
        running: Counter[str] = Counter()
        done: defaultdict[str, list[int]] = defaultdict(list)
        tries: Counter[str] = Counter()

        async def deliver(item: Item, _: int) -> None:
            running[item.source] += 1
            assert running[item.source] == 1
            await anyio.sleep(0.1)
            running[item.source] -= 1
            tries[item.key] += 1
            if tries[item.key] <= failing.get(int(item.key), 0):
                raise DOWN
            done[item.source].append(int(item.key))

        worker = worker_of(store, deliver, ordered=True, max_concurrency=concurrency)
        await until_drained(worker)
        assert all(numbers == sorted(numbers) for numbers in done.values())
        assert len(store.delivered) == len(sources)
        assert balanced(worker)

    run_virtual(main)


def test_where_order_is_kept_one_source_does_not_wait_for_another_and_few_items_are_held() -> None:
    async def main() -> None:
        store = await filled(500, lambda number: "bad" if number % 2 else "good")

        async def deliver(item: Item, _: int) -> None:
            if item.source == "bad" and anyio.current_time() < 50:
                raise DOWN

        worker = worker_of(store, deliver, ordered=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await anyio.sleep(49)
            good = [one for one in store.delivered if one.source == "good"]
            assert len(good) >= WAITING
            assert len(good) == len(store.delivered)
            await worker.drained()
            tasks.cancel_scope.cancel()
        assert store.most_leased <= 4 + WAITING
        assert [one.key for one in store.delivered if one.source == "bad"] == [f"{n}" for n in range(1, 500, 2)]

    run_virtual(main)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("steps", range(40))
def test_cancelled_at_any_await_it_loses_nothing_and_gives_everything_back(ordered: bool, steps: int) -> None:
    async def main() -> None:
        store = await filled(6, lambda number: f"{number % 2}")
        reached: Counter[str] = Counter()

        async def deliver(item: Item, attempt: int) -> None:
            await anyio.lowlevel.checkpoint()
            reached[item.key] += 1
            await anyio.lowlevel.checkpoint()
            if item.key == "1" and attempt == 1:
                raise DOWN
            if item.key == "2":
                raise ActionError("never")

        first = worker_of(store, deliver, ordered=ordered)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert not store.leased
        assert len(store.waiting) + len(store.delivered) + len(store.dead) == 6
        assert balanced(first)
        assert not first.counts.unsettled
        second = worker_of(store, deliver, ordered=ordered)
        await until_drained(second)
        assert {one.key for one in store.delivered} == {"0", "1", "3", "4", "5"}
        assert len(store.delivered) == 5
        assert [one.key for one, _ in store.dead] == ["2"]
        assert reached["3"] <= 2

    run_virtual(main)


@pytest.mark.parametrize("ordered", [False, True])
def test_cancelled_by_asyncio_itself_it_gives_everything_back_too(ordered: bool) -> None:
    async def main() -> None:
        store = await filled(6, lambda number: f"{number % 2}")

        async def deliver(_: Item, __: int) -> None:
            await anyio.sleep(1)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(worker_of(store, deliver, ordered=ordered).run())
            await anyio.sleep(0.5)
            task.cancel()
        assert not store.leased
        assert len(store.waiting) == 6

    run_virtual(main)


def test_an_attempt_that_cancels_itself_ends_alone() -> None:
    async def main() -> None:
        store = await filled(3)

        async def deliver(item: Item, attempt: int) -> None:
            if item.key == "1" and attempt == 1:
                raise asyncio.CancelledError

        await until_drained(worker_of(store, deliver))
        assert len(store.delivered) == 3
        assert [reason for _, _, reason in store.nacked] == ["it was cancelled"]

    run_virtual(main)


@pytest.mark.parametrize("fails", ["lease", "ack", "nack", "bury"])
def test_a_store_in_trouble_does_not_end_the_worker(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = await filled(4)

        async def deliver(item: Item, attempt: int) -> None:
            if item.key == "0" and attempt == 1:
                raise DOWN
            if item.key == "1":
                raise ActionError("never")

        store.fail = fails
        worker = worker_of(store, deliver, max_concurrency=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await anyio.sleep(10)
            store.fail = ""
            await store.put(item(9))
            await anyio.sleep(100)
            assert "9" in [one.key for one in store.delivered]
            tasks.cancel_scope.cancel()
        assert worker.counts.unsettled == {"lease": 0, "ack": 3, "nack": 1, "bury": 1}[fails]
        assert len(store.leased) == worker.counts.unsettled

    run_virtual(main)
    assert f"{fails} failed" in caplog.text


def test_drained_waits_for_what_comes_back_later() -> None:
    async def main() -> None:
        store = await filled(1)

        async def deliver(_: Item, attempt: int) -> None:
            if attempt < 3:
                raise DOWN

        worker = worker_of(store, deliver)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            with suppress(TimeoutError), anyio.fail_after(2.5):
                await worker.drained()
                raise AssertionError("it is not delivered")
            await worker.drained()
            assert len(store.delivered) == 1
            tasks.cancel_scope.cancel()

    run_virtual(main)


def test_who_waits_for_the_end_of_it_does_not_wait_for_a_worker_that_has_ended() -> None:
    async def main() -> None:
        store = await filled(1)

        async def deliver(_: Item, __: int) -> None:
            raise DOWN

        worker = worker_of(store, deliver)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.drained)
            with anyio.move_on_after(5):
                await worker.run()
        await worker.drained()
        assert len(store.waiting) == 1

    run_virtual(main)


def test_drained_hears_of_what_leaves_another_way() -> None:
    async def main() -> None:
        store = await filled(1)

        async def deliver(_: Item, __: int) -> None:
            raise DOWN

        worker = worker_of(store, deliver)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await anyio.sleep(0.5)
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(worker.drained)
                await anyio.sleep(0.1)
                store.waiting.clear()  # purged, dropped, or delivered by another machine
                with anyio.fail_after(5):
                    await worker.drained()
            tasks.cancel_scope.cancel()

    run_virtual(main)


def test_a_store_that_cannot_say_what_it_holds_is_not_taken_for_an_empty_one(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = await filled(1)

        async def deliver(_: Item, __: int) -> None:
            await anyio.sleep(10)

        worker = worker_of(store, deliver, timeout=60.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            store.fail = "status"
            with suppress(TimeoutError), anyio.fail_after(20):
                await worker.drained()
                raise AssertionError("nobody can say that it is empty")
            assert len(store.delivered) == 1
            store.fail = ""
            with anyio.fail_after(5):
                await worker.drained()
            tasks.cancel_scope.cancel()

    run_virtual(main)
    assert caplog.text.count("the store cannot say what it holds: OSError: status failed") == 1


@pytest.mark.parametrize("end", ["ack", "nack", "bury"])
def test_a_store_may_take_its_time_to_settle_an_item(end: str) -> None:
    class Slow(MemoryStore):
        async def _pause(self) -> None:
            await anyio.sleep(40)

        async def ack(self, lease: Lease) -> None:
            await self._pause()
            await super().ack(lease)

        async def nack(self, lease: Lease, *, delay: float, reason: str) -> None:
            await self._pause()
            await super().nack(lease, delay=delay, reason=reason)

        async def bury(self, lease: Lease, *, reason: str) -> None:
            await self._pause()
            await super().bury(lease, reason=reason)

    async def main() -> None:
        store = Slow()
        await store.put(item(0))

        async def deliver(_: Item, attempt: int) -> None:
            if attempt == 1 and end != "ack":
                raise DOWN if end == "nack" else ActionError("never")

        ended: list[Delivered] = []
        worker = worker_of(store, deliver, ended=ended.append)
        await until_drained(worker)
        assert len(ended) == 1
        assert len(store.delivered) == (end != "bury")
        assert (worker.counts.unsettled, store.leased) == (0, {})

    run_virtual(main)


def test_what_the_store_takes_down_holds_up_no_attempt_and_is_bounded() -> None:
    class Slow(MemoryStore):
        async def ack(self, lease: Lease) -> None:
            await anyio.sleep(100)
            await super().ack(lease)

    async def main() -> None:
        store = Slow()
        for number in range(200):
            await store.put(item(number))
        times: list[float] = []

        async def deliver(_: Item, __: int) -> None:
            times.append(anyio.current_time())
            await anyio.sleep(0.1)

        worker = worker_of(store, deliver, max_concurrency=1)
        await until_drained(worker)
        assert times[WAITING] == pytest.approx(0.1 * WAITING)
        assert times[WAITING + 1] == pytest.approx(100.1)
        assert store.most_leased == 1 + WAITING

    run_virtual(main)


def test_a_worker_that_is_cancelled_waits_for_the_store_for_a_while_only() -> None:
    class Stuck(MemoryStore):
        async def ack(self, lease: Lease) -> None:
            await anyio.sleep_forever()

    async def main() -> None:
        store = Stuck()
        await store.put(item(0))

        async def deliver(_: Item, __: int) -> None:
            pass

        worker = worker_of(store, deliver)
        with anyio.move_on_after(100):
            await worker.run()
        assert anyio.current_time() == pytest.approx(100 + SETTLE_SECONDS)
        assert worker.counts.unsettled == 1

    run_virtual(main)


@pytest.mark.parametrize("keeps_order", [False, True])
def test_where_order_is_kept_a_long_run_of_one_source_holds_up_nobody_if_the_store_keeps_order_too(
    keeps_order: bool,
) -> None:
    async def main() -> None:
        store = await filled(300, lambda number: "bad" if number < 200 else "good")
        store.keeps_order = keeps_order

        async def deliver(item: Item, _: int) -> None:
            if item.source == "bad" and anyio.current_time() < 500:
                raise DOWN

        worker = worker_of(store, deliver, ordered=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await anyio.sleep(100)
            assert len(store.delivered) == (100 if keeps_order else 0)
            await worker.drained()
            tasks.cancel_scope.cancel()
        assert store.most_leased == (2 if keeps_order else 4 + WAITING)
        for source, numbers in (("bad", range(200)), ("good", range(200, 300))):
            assert [one.key for one in store.delivered if one.source == source] == [f"{n}" for n in numbers]

    run_virtual(main)


def test_a_mistake_in_the_code_is_logged_with_its_trace_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def deliver(_: Item, __: int) -> None:
            raise ZeroDivisionError("oh")

        await until_drained(worker_of(await filled(3), deliver))

    run_virtual(main)
    assert [record.exc_info is not None for record in caplog.records].count(True) == 1
    assert caplog.text.count("is given up: ZeroDivisionError: oh") == 3


class Processors:
    """What others than the event loop do on two processors, in virtual time."""

    def __init__(self, busy: Callable[[float], float]) -> None:
        self._busy = busy
        self._spent = self._looked = 0.0

    def seconds(self) -> float:
        now = anyio.current_time()
        self._spent += 2 * self._busy(self._looked) * (now - self._looked)
        self._looked = now
        return self._spent


@pytest.mark.parametrize("filled", [0.1, 0.9, None])
def test_it_gives_way_while_the_processors_are_busy_and_the_store_has_room(filled: float | None) -> None:
    async def main() -> None:
        store = MemoryStore(filled=filled)
        for number in range(1000):
            await store.put(item(number))
        times: list[float] = []

        async def deliver(_: Item, __: int) -> None:
            times.append(anyio.current_time())
            await anyio.sleep(0.04)

        others = Processors(lambda now: 0.9 if now < 5 else 0.2)
        worker = worker_of(store, deliver, pace=Pace(Rate(10), cpu_seconds=others.seconds, processors=2))
        await until_drained(worker)
        busy = [moment for moment in times if 1 <= moment < 5]
        if filled == 0.1:
            assert len(busy) == pytest.approx(40, abs=2)
            assert sum(5.2 <= moment < 6.2 for moment in times) == pytest.approx(100, abs=5)  # four at once
        else:
            assert len(busy) == pytest.approx(400, abs=5)

    run_virtual(main)


@pytest.mark.parametrize(("rate", "busy_rate", "per_second"), [(8, 10, 8), (9, 10, 9), (15, 20, 15), (20, 10, 10)])
def test_a_rate_and_one_for_busy_times_allow_what_the_lower_does(rate: int, busy_rate: int, per_second: int) -> None:
    async def main() -> None:
        store = MemoryStore(filled=0.1)
        for number in range(300):
            await store.put(item(number))
        times: list[float] = []

        async def deliver(_: Item, __: int) -> None:
            times.append(anyio.current_time())

        others = Processors(lambda _: 0.9)
        pace = Pace(Rate(busy_rate), cpu_seconds=others.seconds, processors=2)
        await until_drained(worker_of(store, deliver, rate=Rate(rate), pace=pace))
        assert sum(1 <= moment < 9 for moment in times) == pytest.approx(8 * per_second, abs=3)

    run_virtual(main)


def test_a_store_that_cannot_say_how_full_it_is_ends_no_pace_for_good() -> None:
    async def main() -> None:
        store = MemoryStore(filled=0.1)
        store.fail = "status"
        for number in range(300):
            await store.put(item(number))
        times: list[float] = []

        async def deliver(_: Item, __: int) -> None:
            times.append(anyio.current_time())
            if anyio.current_time() > 2:
                store.fail = ""
            await anyio.sleep(0.1)

        others = Processors(lambda _: 0.9)
        await until_drained(worker_of(store, deliver, pace=Pace(Rate(10), cpu_seconds=others.seconds, processors=2)))
        assert sum(4 <= moment < 8 for moment in times) == pytest.approx(40, abs=2)

    run_virtual(main)


def test_processors_are_busy_only_while_they_are() -> None:
    spent = 0.0
    pace = Pace(Rate(10), cpu_seconds=lambda: spent, processors=2)
    assert not pace.is_busy(0.0)
    spent = 0.07
    assert pace.is_busy(0.05)
    assert pace.is_busy(0.06)  # too early to tell
    spent = 0.07 + 0.05
    assert not pace.is_busy(0.10)
    assert (pace.wait(0.10), pace.wait(0.15), pace.wait(0.20)) == (0.0, pytest.approx(0.05), 0.0)


def test_it_knows_what_the_other_threads_take() -> None:
    def work(until: float) -> None:
        while time.thread_time() < until:
            zlib.crc32(bytes(1_000_000))

    pace = Pace(Rate(10), processors=1)
    assert not pace.is_busy(0.0)
    threads = [threading.Thread(target=work, args=(0.04,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pace.is_busy(0.1)
    work(time.thread_time() + 0.04)
    assert not pace.is_busy(0.2)
