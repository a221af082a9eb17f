"""What hooks did: one outcome for every fired event, and a feed of them to follow."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from weakref import WeakSet

import anyio


class OutcomeKind(StrEnum):
    """How an event ended; `YIELDED` comes before the end, `DELIVERED` and `DELIVERY_FAILED` after it if the hook has a ``delivery``.

    A fired event ends in exactly one of DONE, FAILED, TIMED_OUT, RATE_LIMITED, DROPPED and CANCELLED. With a ``delivery``, DONE means
    that the event is stored; DELIVERED or, if no attempt can succeed, DELIVERY_FAILED follows, possibly in a later run.
    TRIGGER_FAILED stands for a frame whose trigger failed, so that nobody knows if it would have fired.
    """

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    DROPPED = "dropped"
    CANCELLED = "cancelled"
    TRIGGER_FAILED = "trigger_failed"
    YIELDED = "yielded"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event of one hook. It holds no pixels.

    Attributes:
        hook: name of the hook.
        kind: how the event ended.
        frame_name: name of the frame.
        frame_index: index of the frame in its source.
        context: the frame's context.
        score: score of the trigger, if it was evaluated.
        scores: for a combination of triggers, the score of each part by its name.
        value: what the action returned or yielded.
        error: why it failed.
        seconds: how long the action ran, 0 if it did not.
    """

    hook: str
    kind: OutcomeKind
    frame_name: str
    frame_index: int
    context: Any = None
    score: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    value: Any = None
    error: Exception | None = None
    seconds: float = 0.0


class Outcomes(AsyncIterator[Outcome]):
    """A subscription to the outcomes from its creation on; it ends when the deployment has drained.

    Attributes:
        missed: outcomes that were lost because the reader was slower than the hooks for too long.
    """

    def __init__(self, buffer: int) -> None:
        self.missed = 0
        self._buffer: deque[Outcome] = deque(maxlen=buffer)
        self._news = anyio.Event()
        self._ended = False

    async def __anext__(self) -> Outcome:
        while not self._buffer:
            if self._ended:
                raise StopAsyncIteration
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()
        return self._buffer.popleft()

    def waiting(self) -> list[Outcome]:
        """Return the outcomes that were not read yet, without waiting for more."""
        waiting = list(self._buffer)
        self._buffer.clear()
        return waiting

    def _push(self, outcome: Outcome) -> None:
        if len(self._buffer) == self._buffer.maxlen:
            self.missed += 1
        self._buffer.append(outcome)
        self._news.set()

    def _end(self) -> None:
        self._ended = True
        self._news.set()


class OutcomeFeed:
    """Passes outcomes on to all subscriptions; one that nobody refers to any more is forgotten."""

    def __init__(self) -> None:
        self._subscriptions: WeakSet[Outcomes] = WeakSet()
        self._ended = False

    @property
    def is_followed(self) -> bool:
        """Whether anybody would see an outcome."""
        return bool(self._subscriptions)

    def subscribe(self, buffer: int = 1024) -> Outcomes:
        """Follow the outcomes from now on; the oldest of more than ``buffer`` unread ones are counted and lost."""
        outcomes = Outcomes(buffer)
        if self._ended:
            outcomes._end()
        else:
            self._subscriptions.add(outcomes)
        return outcomes

    def publish(self, outcome: Outcome) -> None:
        """Hand an outcome to every subscription."""
        for subscription in self._subscriptions:
            subscription._push(outcome)

    def end(self) -> None:
        """Let every subscription end once it was read."""
        self._ended = True
        for subscription in self._subscriptions:
            subscription._end()
