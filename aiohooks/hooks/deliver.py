"""Delivery without a deployment: of what other processes or machines have stored, or an earlier run has left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from aiohooks.errors import SpecError
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import OutcomeFeed
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.task_owner import TaskOwner

CLOSE_SECONDS = 10.0
"""How long attempts that are cancelled may take to end."""


@asynccontextmanager
async def deliver(hook: PostInferenceHook) -> AsyncIterator[RunningHook]:
    """Deliver what the store of a hook holds, for as long as the context lasts; no model is loaded, and the trigger is never evaluated.

    Args:
        hook: with a ``delivery``; its action delivers.

    Returns:
        The hook at work: ``await running.delivered()`` waits until nothing is left, ``running.delivery`` shows the progress.

    Raises:
        SpecError: the hook has no ``delivery``, or one with ``max_concurrency=0``, which leaves delivering to others.
        DeliveryError: its store cannot be opened.
    """
    if hook.delivery is None or not hook.delivery.max_concurrency:
        raise SpecError(f"hook {hook.title}: there is nothing to do for deliver(): its `delivery` delivers nothing")
    owner = TaskOwner(f"delivery of hook {hook.title}")
    running = RunningHook(hook, OutcomeFeed())
    await owner.open()
    try:
        running.start(owner.start_soon)
        assert running.delivery is not None
        await running.delivery.status()
        yield running
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await running.aclose()
        with anyio.CancelScope(shield=True):
            await owner.aclose()
