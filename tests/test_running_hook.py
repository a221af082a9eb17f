"""What a hook does beyond counting: resources, closing, order."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hook_fixtures import frame, prediction, running

from aiohooks.frame import Frame
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import Outcome, OutcomeFeed, OutcomeKind
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.hooks.triggers import AlwaysTrigger
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio


class Connected:
    """An action with a connection: opened once, closed once; it may be told to fail at either."""

    def __init__(self, *, fail_at: str = "") -> None:
        self.fail_at = fail_at
        self.log: list[str] = []

    async def __call__(self, event: HookEvent) -> None:
        raise AssertionError("the connected form is to be used")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Callable[[HookEvent], Any]]:
        self.log.append("open")
        if self.fail_at == "open":
            raise OSError("no route")
        yield self.send
        self.log.append("close")
        if self.fail_at == "close":
            raise OSError("gone already")

    async def send(self, event: HookEvent) -> int:
        self.log.append("send")
        return event.frame.index


async def test_an_action_with_resources_gets_them_once_and_gives_them_back() -> None:
    action = Connected()
    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=action, max_concurrency=1)) as (
        hook,
        outcomes,
    ):
        for index in range(3):
            await hook.see(frame(index), prediction())
    assert action.log == ["open", "send", "send", "send", "close"]
    assert [outcome.value for outcome in outcomes] == [0, 1, 2]


async def test_resources_are_there_until_the_last_cancelled_action_has_ended() -> None:
    class Transaction(Connected):
        async def send(self, event: HookEvent) -> int:
            try:
                return await anyio.sleep_forever()
            finally:
                self.log.append("roll back")

    action = Transaction()
    hook = RunningHook(PostInferenceHook(trigger=AlwaysTrigger(), action=action), OutcomeFeed())
    async with anyio.create_task_group() as owner:
        hook.start(owner.start_soon)
        await hook.see(frame(), prediction())
        await anyio.wait_all_tasks_blocked()
        await hook.aclose()
    assert action.log == ["open", "roll back", "close"]
    assert hook.counts.cancelled == 1


async def test_an_action_that_cannot_be_set_up_fails_every_event(caplog) -> None:
    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=Connected(fail_at="open"))) as (
        hook,
        outcomes,
    ):
        for index in range(3):
            await hook.see(frame(index), prediction())
    assert hook.counts.failed == 3
    assert {str(outcome.error) for outcome in outcomes} == {"its action could not be set up: no route"}
    assert "could not be set up or torn down" in caplog.text


async def test_an_action_that_cannot_be_torn_down_is_logged(caplog) -> None:
    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=Connected(fail_at="close"))) as (
        hook,
        _,
    ):
        await hook.see(frame(), prediction())
    assert hook.counts.done == 1
    assert "gone already" in caplog.text


@pytest.mark.parametrize("overflow", ["block", "drop_newest", "drop_oldest"])
async def test_what_is_seen_after_closing_is_counted(overflow: str) -> None:
    async def yes(frame: Frame, prediction: Prediction) -> bool:
        return True

    async def act(event: HookEvent) -> None:
        return None

    for trigger in (AlwaysTrigger(), yes):
        async with running(PostInferenceHook(trigger=trigger, action=act, overflow=overflow)) as (hook, _):
            pass
        await hook.see(frame(), prediction())
        assert hook.counts.seen == hook.counts.cancelled + hook.counts.skipped == 1


async def test_those_who_wait_for_room_get_it_in_their_order() -> None:
    release = anyio.Event()
    order: list[int] = []

    async def act(event: HookEvent) -> None:
        await release.wait()
        order.append(event.frame.index)

    hook = PostInferenceHook(trigger=AlwaysTrigger(), action=act, max_concurrency=1, max_pending=1)
    async with running(hook) as (run, _), anyio.create_task_group() as callers:
        for index in range(8):
            callers.start_soon(run.see, frame(index), prediction())
            await anyio.wait_all_tasks_blocked()
        release.set()
    assert order == list(range(8))


async def test_no_more_actions_at_once_than_allowed() -> None:
    at_once = most = 0

    async def act(event: HookEvent) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.lowlevel.checkpoint()
        at_once -= 1

    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=act, max_concurrency=3)) as (hook, _):
        for index in range(30):
            await hook.see(frame(index), prediction())
    assert most == 3


async def test_a_plain_function_is_told_to_be_asynchronous() -> None:
    def act(event: HookEvent) -> int:
        return 1

    def trigger(frame: Frame, prediction: Prediction) -> bool:
        return True

    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=act)) as (hook, outcomes):
        await hook.see(frame(), prediction())
    assert "declare it as `async def act(event)`" in str(outcomes[0].error)
    async with running(PostInferenceHook(trigger=trigger, action=act)) as (hook, outcomes):
        await hook.see(frame(), prediction())
    assert "declare it as `async def trigger(frame, prediction)`" in str(outcomes[0].error)


async def test_a_running_hook_closed_before_it_started() -> None:
    hook = RunningHook(PostInferenceHook(trigger=AlwaysTrigger(), action=Connected()), OutcomeFeed())
    assert hook.pending == 0
    assert "AlwaysTrigger → Connected" in repr(hook)
    await hook.aclose()


async def test_two_readers_of_one_subscription_both_end() -> None:
    feed = OutcomeFeed()
    outcomes = feed.subscribe()
    read: list[Outcome] = []

    async def reader() -> None:
        async for outcome in outcomes:
            read.append(outcome)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as readers:
            readers.start_soon(reader)
            readers.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            feed.publish(Outcome("hook", OutcomeKind.DONE, "frame", 0))
            await anyio.wait_all_tasks_blocked()
            feed.end()
    assert len(read) == 1


async def test_an_action_runs_in_the_context_of_its_inference() -> None:
    request: ContextVar[int] = ContextVar("request", default=-1)
    found: list[tuple[int, int]] = []
    release = anyio.Event()

    async def act(event: HookEvent) -> None:
        await release.wait()
        found.append((event.frame.index, request.get()))

    async def serve(run: RunningHook, number: int) -> None:
        request.set(number)
        await run.see(frame(number), prediction())

    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=act, max_concurrency=1)) as (hook, _):
        async with anyio.create_task_group() as requests:
            for number in range(5):
                requests.start_soon(serve, hook, number)
        release.set()
    assert found == [(number, number) for number in range(5)]


async def test_failures_in_groups_hold_no_traceback_either() -> None:
    async def act(event: HookEvent) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)

    async def fail() -> None:
        raise LookupError("lost")

    async with running(PostInferenceHook(trigger=AlwaysTrigger(), action=act)) as (hook, outcomes):
        await hook.see(frame(), prediction())
    group = outcomes[0].error.__cause__ if outcomes[0].error is not None else None
    assert isinstance(group, ExceptionGroup)
    assert group.__traceback__ is None
    assert group.exceptions[0].__traceback__ is None
