import anyio
import pytest

from aiohooks.inference.bell import Bell

pytestmark = pytest.mark.anyio


async def test_it_wakes_who_waits() -> None:
    bell, woken = Bell(), []

    async def sleeper() -> None:
        await bell.wait()
        woken.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        await anyio.wait_all_tasks_blocked()
        bell.ring()
        bell.ring()
    assert woken == [True]


async def test_rung_while_nobody_waits_it_is_forgotten() -> None:
    bell = Bell()
    bell.ring()
    with anyio.move_on_after(0) as patience:
        await bell.wait()
    assert patience.cancelled_caught
    bell.ring()  # and by then nobody waits again
