"""The threads of actions: which they get, and what becomes of them."""

import asyncio
import os
import sys
import threading
from pathlib import Path

import anyio
import pytest
from hook_fixtures import frame, prediction

from aiohooks import AlwaysTrigger, FileSystemDataCollection, PostInferenceHook
from aiohooks.hooks import background
from aiohooks.hooks.outcome import OutcomeFeed
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.one_thread import OneThread

pytestmark = pytest.mark.anyio


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.fixture(params=[False, True], ids=["blocking hook", "dropping hook"])
def expendable(request: pytest.FixtureRequest) -> bool:
    background.expendable.set(request.param)
    return request.param


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
async def test_only_the_thread_of_a_hook_that_drops_has_a_low_priority(expendable: bool) -> None:
    before = priority()
    async with background.threads() as (run, _):
        assert await run(priority) == (15 if expendable else before)
    assert priority() == before


async def test_a_hook_that_drops_has_one_thread(expendable: bool) -> None:
    seen: set[int] = set()
    together = threading.Barrier(2)

    def work() -> None:
        seen.add(threading.get_ident())
        if not expendable:
            together.wait(10)

    async with background.threads() as (run, _), anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(run, work)
    assert len(seen) == (1 if expendable else 2)


async def test_errors_come_back(expendable: bool) -> None:
    async with background.threads() as (run, _):
        with pytest.raises(ZeroDivisionError):
            await run(lambda: 1 // 0)
        assert await run(divmod, 7, 2) == (3, 1)


async def test_cancelled_work_is_told_and_waited_for(expendable: bool) -> None:
    started, told, ended = anyio.Event(), threading.Event(), threading.Event()

    def work() -> None:
        anyio.from_thread.run_sync(started.set, token=token)
        try:
            while True:
                background.check_cancelled()
                ended.wait(0.001)
        finally:
            told.set()

    token = anyio.lowlevel.current_token()
    async with background.threads() as (run, _):
        async with anyio.create_task_group() as group:
            group.start_soon(run, work)
            await started.wait()
            group.cancel_scope.cancel()
        assert told.is_set()
        assert await run(lambda: "still at work") == "still at work"


async def test_work_that_is_cancelled_before_its_turn_never_starts() -> None:
    background.expendable.set(True)
    gate, started = threading.Event(), []
    async with background.threads() as (run, _), anyio.create_task_group() as group:
        group.start_soon(run, gate.wait)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(run, started.append, 1)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    await anyio.wait_all_tasks_blocked()  # by now the cancelled one has heard of it
                gate.set()
    assert started == []


async def test_no_thread_is_left(expendable: bool) -> None:
    async with background.threads() as threads:
        for run in threads:
            await run(lambda: None)
    assert not own_threads()


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("aiohooks ")]


async def test_light_work_is_done_in_order_by_one_thread(expendable: bool) -> None:
    done: list[tuple[int, int]] = []
    async with background.threads() as (_, run), anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(run, lambda number=number: done.append((number, threading.get_ident())))
    assert [number for number, _ in done] == list(range(50))
    assert len({thread for _, thread in done}) == 1


def test_a_loop_that_closes_early_ends_the_thread() -> None:
    gate = threading.Event()
    one = OneThread("aiohooks test")

    async def leave() -> None:
        asyncio.get_running_loop().create_task(one.run(gate.wait))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    gate.set()
    assert one._thread is not None
    one._thread.join(10)
    assert not one._thread.is_alive()


@pytest.mark.parametrize("overflow", ["block", "drop_newest", "drop_oldest"])
async def test_a_hook_says_whether_its_action_is_expendable(overflow: str, tmp_path: Path) -> None:
    store = FileSystemDataCollection(tmp_path)
    hook = RunningHook(PostInferenceHook(trigger=AlwaysTrigger(), action=store, overflow=overflow), OutcomeFeed())  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        hook.start(group.start_soon)
        for index in range(5):
            await hook.see(frame(index), prediction())
        await hook.drained()
        assert len(own_threads()) == (0 if overflow == "block" else 1)
        await hook.aclose()
    assert hook.counts.done == 5
    assert len(list((tmp_path / "images").iterdir())) == 5
