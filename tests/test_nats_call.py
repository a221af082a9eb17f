"""Calls of a library that swallows being cancelled: their callers are cancelled all the same, and they end."""

import asyncio
import contextlib

import anyio
import pytest
from nats.errors import StaleConnectionError

from aiohooks.delivery import nats_call
from aiohooks.delivery.nats_call import outcome_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Deaf:
    """Answers when it is told to, or when it has been cancelled so many times, of which it says nothing."""

    def __init__(self, cancellations: float) -> None:
        self.left = cancellations
        self.started = asyncio.Event()
        self.answer = asyncio.Event()
        self.ended = False

    async def __call__(self) -> str:
        self.started.set()
        while self.left > 0 and not self.answer.is_set():
            try:
                await self.answer.wait()
            except asyncio.CancelledError:
                self.left -= 1
        self.ended = True
        return "answer"


async def test_it_returns_and_raises_what_the_call_does() -> None:
    deaf = Deaf(1)
    deaf.answer.set()
    assert await outcome_of(deaf) == "answer"

    async def fails() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await outcome_of(fails)


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_a_task_is_cancelled_once(cancellations: int) -> None:
    deaf = Deaf(cancellations)
    task = asyncio.ensure_future(outcome_of(deaf))
    await deaf.started.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert deaf.ended


async def test_a_time_out_of_asyncio_is_heard() -> None:
    deaf = Deaf(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outcome_of(deaf)
    assert deaf.ended


async def test_a_scope_is_cancelled() -> None:
    deaf = Deaf(1)
    with anyio.move_on_after(0.01) as waited:
        await outcome_of(deaf, finish=True)
    assert waited.cancelled_caught
    assert deaf.ended


async def test_what_never_ends_is_left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(nats_call, "ANSWER", 0.1)
    deaf = Deaf(float("inf"))
    with anyio.move_on_after(0.01) as waited:
        await outcome_of(deaf)
    assert waited.cancelled_caught
    assert not deaf.ended
    assert "nats-py did not end within 0.1 s" in caplog.text
    deaf.answer.set()


async def test_what_is_to_finish_does_and_the_cancellation_comes_later() -> None:
    deaf, after = Deaf(0.5), anyio.Event()
    got: list[str] = []

    async def caller() -> None:
        got.append(await outcome_of(deaf, finish=True))
        await after.wait()
        got.append("not cancelled")

    task = asyncio.ensure_future(caller())
    await deaf.started.wait()
    task.cancel("enough")
    await anyio.wait_all_tasks_blocked()
    deaf.answer.set()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert got == ["answer"]
    assert task.cancelling() == 1


async def test_what_finishes_in_spite_of_a_time_out_cancels_nothing_after_it() -> None:
    deaf = Deaf(1)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01) as waited:
            asyncio.get_running_loop().call_later(0.03, deaf.answer.set)
            assert await outcome_of(deaf, finish=True) == "answer"
    assert waited.expired()
    await asyncio.sleep(0.01)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_does_not_finish_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_call, "ANSWER", 0.1)
    deaf = Deaf(1)
    task = asyncio.ensure_future(outcome_of(deaf, finish=True))
    await deaf.started.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert deaf.ended


async def test_what_nats_py_cancels_by_itself_cancels_nobody() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(StaleConnectionError):
        await outcome_of(cancelled)
