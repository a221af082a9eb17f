import asyncio

import anyio
import pytest

from aiohooks.task_owner import TaskOwner

pytestmark = pytest.mark.anyio


async def test_closing_cancels_and_waits_for_the_tasks() -> None:
    owner = TaskOwner("owner")
    ended = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    await owner.open()
    owner.start_soon(work)
    await anyio.wait_all_tasks_blocked()
    await owner.aclose()
    assert ended == [True]


async def test_without_being_open() -> None:
    owner = TaskOwner("owner")
    await owner.aclose()
    with pytest.raises(RuntimeError, match="owner is not open"):
        owner.start_soon(anyio.sleep_forever)


async def test_what_a_task_raises_comes_out_at_the_end() -> None:
    async def fail() -> None:
        raise LookupError("lost")

    owner = TaskOwner("owner")
    await owner.open()
    owner.start_soon(fail)
    assert owner._task is not None
    await asyncio.wait([owner._task])
    with pytest.raises(RuntimeError, match="not open"):
        owner.start_soon(fail)
    with pytest.raises(ExceptionGroup) as caught:
        await owner.aclose()
    assert caught.group_contains(LookupError)


async def test_an_owner_that_was_cancelled_from_outside_can_be_closed() -> None:
    owner = TaskOwner("owner")
    await owner.open()
    assert owner._task is not None
    owner._task.cancel()
    await owner.aclose()


async def test_a_task_that_is_cancelled_by_the_end_starts_no_other() -> None:
    owner = TaskOwner("owner")
    refused = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            try:
                owner.start_soon(anyio.sleep_forever)
            except RuntimeError as error:
                refused.append(str(error))

    await owner.open()
    owner.start_soon(work)
    await anyio.wait_all_tasks_blocked()
    await owner.aclose()
    assert refused == ["owner is closing"]
