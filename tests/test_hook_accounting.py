"""Every frame that a hook sees, and every event that fires, is counted in exactly one place."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import pytest
from hook_fixtures import frame, prediction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from virtual_clock import run_virtual

from aiohooks.frame import Frame
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import OutcomeFeed, OutcomeKind
from aiohooks.hooks.running_hook import HookCounts, RunningHook
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction
from aiohooks.rate import Rate

TRIGGER_ENDS = ("fires", "fires", "fires", "does not", "raises", "nonsense", "hangs", "is cancelled")
ACTION_ENDS = ("returns", "returns", "yields", "raises", "hangs", "is cancelled", "is not async", "fails to stop")


@dataclass(frozen=True)
class Plan:
    """What happens to one frame: when it comes, and what trigger and action do with it."""

    gap: float
    trigger: str
    trigger_seconds: float
    action: str
    action_seconds: float


plans = st.builds(
    Plan,
    gap=st.sampled_from((0.0, 0.0, 0.01, 0.5)),
    trigger=st.sampled_from(TRIGGER_ENDS),
    trigger_seconds=st.sampled_from((0.0, 0.02, 3.0)),
    action=st.sampled_from(ACTION_ENDS),
    action_seconds=st.sampled_from((0.0, 0.1, 4.0)),
)


class Script:
    """Trigger and action that do what the plan of each frame says."""

    def __init__(self, plans: list[Plan]) -> None:
        self.plans = plans

    async def trigger(self, frame: Frame, prediction: Prediction) -> Any:
        plan = self.plans[frame.index]
        await anyio.sleep(plan.trigger_seconds)
        match plan.trigger:
            case "fires":
                return True
            case "does not":
                return 0.2
            case "nonsense":
                return "yes"
            case "raises":
                raise LookupError("trigger")
            case "is cancelled":
                raise asyncio.CancelledError
        return await anyio.sleep(math.inf)

    def action(self, event: HookEvent) -> Any:
        plan = self.plans[event.frame.index]
        if plan.action == "is not async":
            return 42
        return self.values(plan) if plan.action == "yields" else self.act(plan)

    async def values(self, plan: Plan) -> AsyncIterator[int]:
        for value in range(3):
            yield value
            await anyio.sleep(plan.action_seconds)

    async def act(self, plan: Plan) -> str:
        try:
            await anyio.sleep(plan.action_seconds)
        finally:
            if plan.action == "fails to stop":
                raise OSError("while stopping")
        match plan.action:
            case "raises":
                raise LookupError("action")
            case "is cancelled":
                raise asyncio.CancelledError
            case "hangs":
                await anyio.sleep(math.inf)
        return "ok"


class SyncTrigger(Script):
    """The same, as a trigger that needs no waiting."""

    def evaluate(self, frame: Frame, prediction: Prediction) -> Verdict:
        plan = self.plans[frame.index]
        if plan.trigger == "raises":
            raise LookupError("trigger")
        return Verdict(plan.trigger == "fires", 1.0)

    async def __call__(self, frame: Frame, prediction: Prediction) -> Verdict:
        return self.evaluate(frame, prediction)


def check(counts: HookCounts, seen: int, outcomes: Counter[OutcomeKind]) -> None:
    c = counts
    assert c.seen == seen
    assert c.seen == c.not_fired + c.trigger_failed + c.skipped + c.fired, c
    assert c.fired == c.done + c.failed + c.timed_out + c.rate_limited + c.dropped + c.cancelled, c
    yielded = outcomes.pop(OutcomeKind.YIELDED, 0)
    assert yielded <= 3 * c.fired
    ends = {kind: count for kind, count in asdict(c).items() if kind not in ("seen", "not_fired", "skipped", "fired")}
    assert ends == {kind: outcomes[OutcomeKind(kind)] for kind in ends}


async def play(
    hook: PostInferenceHook, plans: list[Plan], cancel_every: int, drain: float
) -> tuple[HookCounts, Counter[OutcomeKind]]:
    feed = OutcomeFeed()
    outcomes = feed.subscribe(buffer=100_000)
    running = RunningHook(hook, feed)
    async with anyio.create_task_group() as owner:
        running.start(owner.start_soon)
        async with anyio.create_task_group() as callers:
            for index, plan in enumerate(plans):
                await anyio.sleep(plan.gap)
                callers.start_soon(show, running, index, bool(cancel_every) and index % cancel_every == 0)
        with anyio.move_on_after(drain):
            await running.drained()
        await running.aclose()
        await anyio.wait_all_tasks_blocked()
        assert running.pending == 0
        owner.cancel_scope.cancel()
    feed.end()
    return running.counts, Counter([outcome.kind async for outcome in outcomes])


async def show(running: RunningHook, index: int, impatient: bool) -> None:
    with anyio.move_on_after(0.05 if impatient else math.inf):
        await running.see(frame(index, size=(1 + index % 7, 4)), prediction())


@given(
    st.lists(plans, min_size=1, max_size=200),
    st.booleans(),
    st.sampled_from((None, Rate(1), Rate(20, burst=3))),
    st.sampled_from(("block", "drop_newest", "drop_oldest")),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from((1, 100, 10_000)),
    st.sampled_from((0.05, 1.0, 5.0)),
    st.sampled_from((0, 3)),
    st.sampled_from((0.0, 2.0, math.inf)),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
def test_it_adds_up(plans, sync, rate, overflow, concurrency, pending, nbytes, timeout, cancel_every, drain) -> None:
    script = SyncTrigger(plans) if sync else Script(plans)
    hook = PostInferenceHook(
        trigger=script if sync else script.trigger,
        action=script.action,
        max_concurrency=concurrency,
        max_pending=pending,
        max_pending_bytes=nbytes,
        overflow=overflow,
        rate=rate,
        timeout=timeout,
    )
    counts, outcomes = run_virtual(lambda: play(hook, plans, cancel_every, drain))
    check(counts, len(plans), outcomes)
    if overflow == "block" and not cancel_every and drain == math.inf:
        assert counts.skipped == counts.dropped == 0  # nothing is lost


@pytest.mark.parametrize(("overflow", "events"), [("block", 10_000), ("drop_newest", 3_000), ("drop_oldest", 3_000)])
def test_ten_thousand_events(overflow: str, events: int) -> None:
    import random

    chance = random.Random(7)
    script = [
        Plan(
            gap=chance.choice((0.0, 0.0, 0.0, 0.01)),
            trigger=chance.choice(TRIGGER_ENDS),
            trigger_seconds=chance.choice((0.0, 0.02)),
            action=chance.choice(ACTION_ENDS),
            action_seconds=chance.choice((0.0, 0.02, 0.2)),
        )
        for _ in range(events)
    ]
    acts = Script(script)
    hook = PostInferenceHook(
        trigger=acts.trigger, action=acts.action, timeout=0.1, overflow=overflow, max_pending=16, rate=Rate(40, burst=5)
    )
    counts, outcomes = run_virtual(lambda: play(hook, script, 17, 5.0))
    check(counts, events, outcomes)
    for kind in ("not_fired", "trigger_failed", "fired", "done", "failed", "timed_out", "cancelled", "rate_limited"):
        assert getattr(counts, kind) > 0, kind
    if overflow != "block":
        assert counts.skipped + counts.dropped > 0


def test_thirty_per_second_through_a_hook_limited_to_ten() -> None:
    async def camera() -> HookCounts:
        async def always(frame: Frame, prediction: Prediction) -> bool:
            return True

        async def nothing(event: HookEvent) -> None:
            return None

        running = RunningHook(PostInferenceHook(trigger=always, action=nothing, rate=Rate(10)), OutcomeFeed())
        async with anyio.create_task_group() as owner:
            running.start(owner.start_soon)
            start = anyio.current_time()
            for tick in range(600):
                await anyio.sleep(start + tick / 30 - anyio.current_time())
                await running.see(frame(tick), prediction())
            await running.drained()
        return running.counts

    counts = run_virtual(camera)
    assert counts.done == 200
    assert counts.rate_limited == 400
