"""A hook at work: frames in, one outcome out for every event that fired."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import anyio
from msgspec.structs import replace as replaced

from aiohooks.delivery.worker import Delivered
from aiohooks.errors import ActionError, AiohooksError, DeliveryError, TriggerError
from aiohooks.frame import Frame
from aiohooks.hooks.background import expendable
from aiohooks.hooks.backlog import Backlog
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.event_bytes import outline_of
from aiohooks.hooks.failure import failure_of
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.hook_delivery import HookDelivery
from aiohooks.hooks.lane import Lane
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.outcome import Outcome, OutcomeFeed, OutcomeKind
from aiohooks.hooks.triggers.trigger import ask, ask_at_once
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction
from aiohooks.rate import Rate, RateLimiter, nanoseconds
from aiohooks.task_owner import StartSoon

logger = logging.getLogger("aiohooks.hooks")

at_work: ContextVar[frozenset[OutcomeFeed]] = ContextVar("at_work", default=frozenset())
"""The feeds of the hooks whose triggers or actions led here: what is inferred is not shown to those hooks again."""


@dataclass(slots=True)
class HookCounts:
    """What became of the frames that a hook saw.

    Once it is idle, ``seen = not_fired + trigger_failed + skipped + fired`` and
    ``fired = done + failed + timed_out + rate_limited + dropped + cancelled``.

    Attributes:
        seen: frames handed to the hook.
        not_fired: frames its trigger did not pick.
        trigger_failed: frames whose trigger raised, timed out or was cancelled.
        skipped: frames whose trigger was never asked, because too many waited, or the hook was paused or closed.
        fired: frames its trigger picked.
        done: actions that ran to their end; of a hook with a ``delivery``, events that were stored to be delivered.
        failed: actions that raised.
        timed_out: actions that took longer than the hook's ``timeout``.
        rate_limited: events over the hook's rate.
        dropped: events that did not fit into its queue or the store of its delivery.
        cancelled: events cancelled while they waited or ran.
    """

    seen: int = 0
    not_fired: int = 0
    trigger_failed: int = 0
    skipped: int = 0
    fired: int = 0
    done: int = 0
    failed: int = 0
    timed_out: int = 0
    rate_limited: int = 0
    dropped: int = 0
    cancelled: int = 0

    def ended(self, kind: OutcomeKind) -> None:
        """Count the end of a fired event; each kind has the name of its count."""
        setattr(self, kind, getattr(self, kind) + 1)


class _Seen(NamedTuple):
    frame: Frame
    prediction: Prediction


class RunningHook:
    """Evaluates one hook's trigger on every frame it is shown and runs its action on those that fire.

    Args:
        hook: what to do when.
        feed: where outcomes go.

    Attributes:
        hook: the hook as it is now, with the rate and the trigger that were set last.
        origin: the hook that it was made from.
        paused: while True, frames are counted as skipped, and neither evaluated nor acted on.
        name: its name in outcomes.
        counts: what became of the frames so far.
        delivery: stores and delivers its events; None if the hook has no ``delivery``.
    """

    def __init__(self, hook: PostInferenceHook, feed: OutcomeFeed) -> None:
        self.hook = hook
        self.origin = hook
        self.paused = False
        self.name = hook.title
        self.counts = HookCounts()
        self.delivery: HookDelivery | None = None
        self._feed = feed
        self._limiter = RateLimiter(hook.rate) if hook.rate is not None else None
        self._act: Callable[[HookEvent], Any] = hook.action
        self._timeout = hook.timeout
        if hook.delivery is not None:
            self.delivery = HookDelivery(self.name, hook.delivery, hook.action, self._deliver, self._delivered)
            self._timeout = None  # while a store is full, nothing is lost
        self._act_error: Exception | None = None
        self._failing: set[str] = set()
        self._ready = anyio.Event()
        self._closing = anyio.Event()
        self._released = anyio.Event()
        self._clock: Callable[[], float] | None = None
        self._triggers: Lane[_Seen] | None = None
        self._actions: Lane[HookEvent] | None = None

    def __repr__(self) -> str:
        return f"RunningHook({self.name!r}, {self.counts})"

    @property
    def pending(self) -> int:
        """Frames that wait for the trigger, and events that wait for the action."""
        return sum(lane.pending for lane in (self._triggers, self._actions) if lane is not None)

    def start(self, start_soon: StartSoon) -> None:
        """Get ready to see frames; tasks are started through ``start_soon``."""
        self._clock = asyncio.get_running_loop().time
        hook = self.hook
        lanes: dict[str, Any] = {
            "concurrency": 1 if hook.delivery is not None and hook.delivery.ordered else hook.max_concurrency,
            "overflow": hook.overflow,
            "start_soon": start_soon,
        }
        self._triggers = Lane(
            self._ask_trigger, self._skip, backlog=Backlog(hook.max_pending, hook.max_pending_bytes), **lanes
        )
        self._actions = Lane(
            self._run_action, self._drop, backlog=Backlog(hook.max_pending, hook.max_pending_bytes), **lanes
        )
        lifespan = getattr(hook.action if self.delivery is None else self.delivery, "lifespan", None)
        if lifespan is None:
            self._ready.set()
            self._released.set()
        else:
            start_soon(self._hold_resources, lifespan)

    async def see(self, frame: Frame, prediction: Prediction) -> None:
        """Take in one inference; waits only when the queue is full and the hook's overflow is ``block``."""
        assert self._triggers is not None
        self.counts.seen += 1
        if self.paused:
            self.counts.skipped += 1
            return
        try:
            verdict = ask_at_once(self.hook.trigger, frame, prediction)
        except Exception as error:
            self._trigger_failed(frame, error)
            return
        if verdict is None:
            await self._triggers.put(_Seen(frame, prediction), _nbytes(frame, prediction))
        else:
            await self._judge(frame, prediction, verdict)

    def set_rate(self, rate: Rate | None) -> None:
        """Use another rate from now on; None for no limit."""
        self.hook = replaced(self.hook, rate=rate)
        self._limiter = RateLimiter(rate) if rate is not None else None

    def set_trigger(self, trigger: Any) -> None:
        """Use another trigger from now on; it must not need more from the model than the one that it replaces.

        Raises:
            SpecError: it is not callable.
        """
        self.hook = replaced(self.hook, trigger=trigger)

    async def drained(self) -> None:
        """Wait until it has finished with every frame that it has seen."""
        assert self._triggers is not None
        assert self._actions is not None
        await self._triggers.drained()
        await self._actions.drained()

    async def delivered(self) -> None:
        """Wait until every stored event is delivered or given up; while nothing can be delivered, this does not return."""
        if self.delivery is not None:
            await self.delivery.drained()

    async def aclose(self) -> None:
        """Cancel and count what is left, wait for it to end, and release the action's resources."""
        if self._triggers is None or self._actions is None:
            return
        self._triggers.abandon()
        self._actions.abandon()
        await self.drained()
        self._closing.set()
        await self._released.wait()

    async def _hold_resources(
        self, lifespan: Callable[[], AbstractAsyncContextManager[Callable[[HookEvent], Any]]]
    ) -> None:
        expendable.set(self.hook.overflow != "block")
        try:
            async with lifespan() as act:
                self._act = act
                self._ready.set()
                await self._closing.wait()
        except Exception as error:
            logger.exception("hook %s: its action could not be set up or torn down", self.name)
            self._act_error = error.with_traceback(None)
        finally:
            self._ready.set()
            self._released.set()

    async def _ask_trigger(self, seen: _Seen) -> None:
        verdict: Verdict | None = None
        failure: Exception = TriggerError("the trigger was cancelled")
        at_work.set(at_work.get() | {self._feed})
        try:
            with anyio.move_on_after(self.hook.timeout) as patience:
                verdict = await ask(self.hook.trigger, seen.frame, seen.prediction)
            if patience.cancelled_caught:
                failure = TriggerError(f"the trigger took longer than {self.hook.timeout} s")
        except Exception as error:
            failure = error
        finally:
            if verdict is None:
                self._trigger_failed(seen.frame, failure)
        if verdict is not None:
            await self._judge(seen.frame, seen.prediction, verdict)

    async def _judge(self, frame: Frame, prediction: Prediction, verdict: Verdict) -> None:
        assert self._clock is not None
        assert self._actions is not None
        if not verdict.fired:
            self.counts.not_fired += 1
            return
        self.counts.fired += 1
        is_limited = self._limiter is not None and not self._limiter.allows(nanoseconds(self._clock()))
        if is_limited and not self._feed.is_followed:
            self.counts.ended(OutcomeKind.RATE_LIMITED)
            return
        event = HookEvent(frame=frame, prediction=prediction, score=verdict.score, scores=verdict.parts, hook=self.name)
        if is_limited:
            self.counts.ended(OutcomeKind.RATE_LIMITED)
            self._publish(OutcomeKind.RATE_LIMITED, event)
            return
        await self._actions.put(event, _nbytes(frame, prediction))

    async def _run_action(self, event: HookEvent) -> None:
        assert self._clock is not None
        started = self._clock()
        kind = OutcomeKind.CANCELLED
        value: Any = None
        failure: Exception | None = None
        at_work.set(at_work.get() | {self._feed})
        try:
            with anyio.move_on_after(self._timeout) as patience:
                if self._act_error is not None or not self._ready.is_set():
                    await self._set_up()
                value = await self._call(self._act, event)
                is_dropped = self.delivery is not None and value is None
                kind = OutcomeKind.DROPPED if is_dropped else OutcomeKind.DONE
            if patience.cancelled_caught:
                kind = OutcomeKind.TIMED_OUT
        except Exception as error:
            kind = OutcomeKind.FAILED
            failure = self._failed("action", event.frame, error)
        finally:
            self.counts.ended(kind)
            self._publish(kind, event, value=value, error=failure, seconds=self._clock() - started)

    async def _set_up(self) -> None:
        await self._ready.wait()
        if self._act_error is not None:
            raise ActionError(f"its action could not be set up: {self._act_error}") from self._act_error

    async def _call(self, act: Callable[[HookEvent], Any], event: HookEvent) -> Any:
        result = act(event)
        if inspect.isawaitable(result):
            return await result
        if inspect.isasyncgen(result):
            async with aclosing(result) as values:
                async for value in values:
                    self._publish(OutcomeKind.YIELDED, event, value=value)
            return None
        name = name_of(self.hook.action)
        raise ActionError(f"action {name} is not asynchronous: declare it as `async def {name}(event)`")

    async def _deliver(self, act: Callable[[HookEvent], Any], event: HookEvent) -> Any:
        at_work.set(at_work.get() | {self._feed})
        return await self._call(act, event)

    def _delivered(self, delivered: Delivered) -> None:
        if not self._feed.is_followed:
            return
        failure = delivered.failure
        outcome = Outcome(
            self.name,
            OutcomeKind.DELIVERED if failure is None else OutcomeKind.DELIVERY_FAILED,
            frame_name=delivered.item.source,
            frame_index=0,
            value=delivered.value,
            error=None if failure is None else ActionError(failure.reason),
            seconds=delivered.seconds,
        )
        try:
            about = outline_of(delivered.item.payload)
        except DeliveryError:
            pass  # that it cannot be read is why it failed
        else:
            outcome = replace(outcome, frame_index=about.frame.index, score=about.score, scores=about.scores)
        self._feed.publish(outcome)

    def _skip(self, _seen: _Seen, _abandoned: bool) -> None:
        self.counts.skipped += 1

    def _drop(self, event: HookEvent, abandoned: bool) -> None:
        kind = OutcomeKind.CANCELLED if abandoned else OutcomeKind.DROPPED
        self.counts.ended(kind)
        self._publish(kind, event)

    def _trigger_failed(self, frame: Frame, error: Exception) -> None:
        self.counts.trigger_failed += 1
        failure = self._failed("trigger", frame, error)
        if self._feed.is_followed:
            self._feed.publish(
                Outcome(self.name, OutcomeKind.TRIGGER_FAILED, frame.name, frame.index, frame.context, error=failure)
            )

    def _failed(self, what: Literal["trigger", "action"], frame: Frame, error: Exception) -> AiohooksError:
        """Log a failure, the first of its kind with its traceback unless the error is meant, and return it to keep."""
        with_trace = what not in self._failing and not isinstance(error, AiohooksError)
        self._failing.add(what)
        place = frame.name or frame.index
        if with_trace:
            logger.warning("hook %s: the first failure of its %s", self.name, what, exc_info=error)
        failure = failure_of(error, TriggerError if what == "trigger" else ActionError)
        logger.warning("hook %s: %s failed on frame %s: %s", self.name, what, place, failure)
        return failure

    def _publish(
        self,
        kind: OutcomeKind,
        event: HookEvent,
        *,
        value: Any = None,
        error: Exception | None = None,
        seconds: float = 0.0,
    ) -> None:
        if self._feed.is_followed:
            frame = event.frame
            self._feed.publish(
                Outcome(
                    hook=self.name,
                    kind=kind,
                    frame_name=frame.name,
                    frame_index=frame.index,
                    context=frame.context,
                    score=event.score,
                    scores=event.scores,
                    value=value,
                    error=error,
                    seconds=seconds,
                )
            )


def _nbytes(frame: Frame, prediction: Prediction) -> int:
    maps = (prediction.masks, prediction.label_map, prediction.heat_map, prediction.saliency_maps)
    encoded = len(frame.encoded) if frame.encoded is not None else 0
    return frame.image.nbytes + encoded + sum(array.nbytes for array in maps if array is not None)
