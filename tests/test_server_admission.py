"""Places for requests: given in order, bounded, and never lost."""

import asyncio
import random

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus

from aiohooks.errors import SpecError
from aiohooks.server.admission import LONGEST_RETRY_SECONDS, Admission
from aiohooks.server.limits import Limits
from aiohooks.server.refusal import Refusal

pytestmark = pytest.mark.anyio


class Holder:
    """A task that takes a place and holds it until it is told to leave."""

    def __init__(self, admission: Admission, client: str = "") -> None:
        self.admission = admission
        self.client = client
        self.entered = anyio.Event()
        self.leaving = anyio.Event()
        self.scope = anyio.CancelScope()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        with self.scope:
            await self.admission.enter(self.client)
            try:
                self.entered.set()
                await self.leaving.wait()
            finally:
                self.admission.leave(self.client, 1.0)


async def test_places_are_given_in_order() -> None:
    admission = Admission(running=2, waiting=3)
    holders = [Holder(admission) for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        for holder in holders:
            await tasks.start(holder.run)
            await anyio.wait_all_tasks_blocked()
        assert (admission.running, admission.waiting) == (2, 3)
        with pytest.raises(Refusal, match="2 requests run and 3 wait") as refused:
            await admission.enter()
        assert refused.value.status == 503
        for index, holder in enumerate(holders):
            assert [one.entered.is_set() for one in holders] == [number <= index + 1 for number in range(5)]
            holder.leaving.set()
            await anyio.wait_all_tasks_blocked()
    assert (admission.running, admission.waiting) == (0, 0)


async def test_one_client_does_not_take_all_places() -> None:
    admission = Admission(running=4, waiting=4, per_client=2)
    holders = [Holder(admission, "a") for _ in range(2)]
    async with anyio.create_task_group() as tasks:
        for holder in holders:
            await tasks.start(holder.run)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Refusal, match="this client has 2") as refused:
            await admission.enter("a")
        assert refused.value.status == 429
        await admission.enter("b")
        admission.leave("b")
        holders[0].leaving.set()
        await anyio.wait_all_tasks_blocked()
        await admission.enter("a")
        admission.leave("a")
        holders[1].leaving.set()
    assert not admission._clients


async def test_those_who_wait_are_let_in_after_it_closed() -> None:
    admission = Admission(running=1, waiting=1)
    first, second = Holder(admission), Holder(admission)
    async with anyio.create_task_group() as tasks:
        await tasks.start(first.run)
        await tasks.start(second.run)
        await anyio.wait_all_tasks_blocked()
        admission.close("it is over")
        with pytest.raises(Refusal, match="it is over"):
            admission.check()
        first.leaving.set()
        await second.entered.wait()
        second.leaving.set()


async def test_whoever_is_cancelled_as_it_is_called_passes_its_place_on() -> None:
    admission = Admission(running=1, waiting=2)
    third = Holder(admission)
    await admission.enter()
    async with asyncio.TaskGroup() as tasks:
        second = tasks.create_task(admission.enter())
        await anyio.wait_all_tasks_blocked()
        tasks.create_task(third.run())
        await anyio.wait_all_tasks_blocked()
        admission.leave()
        second.cancel()  # as aiohttp does where a client leaves
        await third.entered.wait()
        third.leaving.set()
    assert second.cancelled()
    assert (admission.running, admission.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_no_place_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    admission = Admission(running=3, waiting=5, per_client=4)
    most = 0
    counts = dict.fromkeys(("refused", "done", "cancelled"), 0)

    async def ask(client: str) -> None:
        nonlocal most
        try:
            with anyio.CancelScope() as scope:
                if chance.random() < 0.3:
                    scope.deadline = anyio.current_time() + chance.random() / 500
                await admission.enter(client)
                try:
                    most = max(most, admission.running)
                    await anyio.sleep(chance.random() / 500)
                finally:
                    admission.leave(client, 0.001)
        except Refusal:
            counts["refused"] += 1
        else:
            counts["cancelled" if scope.cancelled_caught else "done"] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(300):
            tasks.start_soon(ask, chance.choice("ab"))
            if chance.random() < 0.5:
                await anyio.lowlevel.checkpoint()
    assert all(counts.values())
    assert sum(counts.values()) == 300
    assert most == 3
    assert (admission.running, admission.waiting, dict(admission._clients)) == (0, 0, {})


async def test_other_bounds_hold_from_now_on() -> None:
    admission = Admission(running=1, waiting=3)
    holders = [Holder(admission) for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for holder in holders:
            await tasks.start(holder.run)
            await anyio.wait_all_tasks_blocked()
        assert (admission.running, admission.waiting) == (1, 3)
        admission.resize(places=3, room=0)
        await anyio.wait_all_tasks_blocked()
        assert [one.entered.is_set() for one in holders] == [True, True, True, False]
        with pytest.raises(Refusal, match="3 requests run and 1 wait"):
            await admission.enter()
        admission.resize(places=1)
        for holder, running in zip(holders, (2, 1, 1, 0), strict=True):
            holder.leaving.set()
            await anyio.wait_all_tasks_blocked()
            assert admission.running == running
    assert (admission.places, admission.room, admission.waiting) == (1, 0, 0)


async def test_when_to_come_back_follows_from_how_long_places_are_held() -> None:
    admission = Admission(running=2, waiting=4)
    assert admission.retry_after == 0
    assert Refusal(503, "", retry_after=admission.retry_after).headers == {"Retry-After": "1"}
    for _ in range(200):
        await admission.enter()
        admission.leave(seconds=4.0)
    assert admission.retry_after == pytest.approx(4, abs=0.1)
    for _ in range(200):
        await admission.enter()
        admission.leave(seconds=1000.0)
    assert admission.retry_after == LONGEST_RETRY_SECONDS


@pytest.mark.parametrize("limit", ["body_bytes", "pixels", "frames", "running", "streams", "request_seconds"])
def test_limits_are_above_0(limit: str) -> None:
    with pytest.raises(SpecError, match=f"Limits.{limit}: expected more than 0, got 0"):
        Limits(**{limit: 0})
