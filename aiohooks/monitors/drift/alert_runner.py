"""Runs actions on alerts, one after the other, each with a bound, and counts how they ended."""

import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
import msgspec

from aiohooks.backoff import REFUSED_STATUSES, RETRYABLE_STATUSES, Backoff
from aiohooks.errors import ActionError, DeploymentError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_actions import AlertAction

logger = logging.getLogger("aiohooks.monitors")

MOST_WAITING = 256
"""Alerts that wait for an action; of more, the oldest are dropped and counted."""

ATTEMPTS = 4
"""How often an action is tried that fails in a way that may pass."""

_BACKOFF = Backoff(first=0.5, most=30.0)


class AlertCounts(msgspec.Struct):
    """What became of alerts: ``given = done + failed + timed_out + dropped + cancelled + waiting``, times the number of actions.

    Attributes:
        given: alerts times actions.
        done: the action returned.
        failed: it raised, also in the last attempt.
        timed_out: it took too long.
        dropped: too many were waiting.
        cancelled: the monitor closed first.
    """

    given: int = 0
    done: int = 0
    failed: int = 0
    timed_out: int = 0
    dropped: int = 0
    cancelled: int = 0


class AlertRunner:
    """Has actions act on alerts in the order of the alerts. `run` is to be a task of its owner.

    Args:
        actions: what to do with each.
        timeout: seconds that an action may take for an alert, all attempts together.
    """

    def __init__(self, actions: Sequence[AlertAction], timeout: float) -> None:
        self.counts = AlertCounts()
        self._actions = actions
        self._timeout = timeout
        self._waiting: deque[tuple[DriftAlert, Callable[[], None]]] = deque()
        self._busy = False
        self._news = anyio.Event()
        self._quiet = anyio.Event()
        self._begun = anyio.Event()
        self._error: Exception | None = None

    def put(self, alert: DriftAlert, ended: Callable[[], None] = lambda: None) -> None:
        """Hand in an alert; ``ended`` is called when all actions have ended with it, or it was dropped, but not if it was cancelled."""
        if not self._actions:
            ended()
            return
        if len(self._waiting) == MOST_WAITING:
            _, dropped = self._waiting.popleft()
            self.counts.dropped += len(self._actions)
            dropped()
        self._waiting.append((alert, ended))
        self.counts.given += len(self._actions)
        self._news.set()

    async def begun(self) -> None:
        """Wait until `run` has what the actions need.

        Raises:
            DeploymentError: an action cannot begin.
        """
        await self._begun.wait()
        if self._error is not None:
            raise self._error

    async def drained(self) -> None:
        """Wait until no alert waits or is acted on."""
        while self._waiting or self._busy:
            if self._quiet.is_set():
                self._quiet = anyio.Event()
            await self._quiet.wait()

    async def run(self) -> None:
        """Act on alerts until cancelled."""
        try:
            async with AsyncExitStack() as stack:
                try:
                    running = [await _begin(stack, action) for action in self._actions]
                except DeploymentError as error:
                    self._error = error
                    return
                finally:
                    self._begun.set()
                while True:
                    while not self._waiting:
                        self._quiet.set()
                        self._news = anyio.Event()
                        await self._news.wait()
                    alert, ended = self._waiting.popleft()
                    self._busy = True
                    try:
                        for place, action in enumerate(running):
                            await self._act(action, alert, len(running) - place)
                        ended()
                    finally:
                        self._busy = False
        finally:
            self.counts.cancelled += len(self._waiting) * len(self._actions)
            self._waiting.clear()
            self._quiet.set()

    async def _act(self, action: Callable[[DriftAlert], Awaitable[object]], alert: DriftAlert, left: int) -> None:
        """Have an action act; if that is cancelled, so are it and those that are left."""
        ended = False
        try:
            with anyio.move_on_after(self._timeout) as scope:
                try:
                    await _attempts(action, alert)
                    self.counts.done += 1
                except Exception as error:
                    self.counts.failed += 1
                    logger.warning("alert %s: an action failed: %s: %s", alert.rule, type(error).__name__, error)
                ended = True
            if scope.cancelled_caught:
                ended = True
                self.counts.timed_out += 1
                logger.warning("alert %s: an action took longer than %g s", alert.rule, self._timeout)
        finally:
            if not ended:
                self.counts.cancelled += left


async def _attempts(action: Callable[[DriftAlert], Awaitable[object]], alert: DriftAlert) -> None:
    for retries in range(ATTEMPTS):
        try:
            await action(alert)
        except ActionError as error:
            status = error.status
            may_pass = error.may_pass if status is None else status in RETRYABLE_STATUSES | REFUSED_STATUSES
            if not may_pass or retries == ATTEMPTS - 1:
                raise
            pause = _BACKOFF.seconds(retries, random.random())  # jitter
            await anyio.sleep(max(pause, error.retry_after or 0.0))
        else:
            return


async def _begin(stack: AsyncExitStack, action: Any) -> Callable[[DriftAlert], Awaitable[object]]:
    lifespan = getattr(action, "lifespan", None)
    running: Callable[[DriftAlert], Awaitable[object]] = action
    if lifespan is None:
        return running
    try:
        running = await stack.enter_async_context(lifespan())
    except Exception as error:
        raise DeploymentError(f"{type(action).__name__} cannot begin: {type(error).__name__}: {error}") from error
    return running
