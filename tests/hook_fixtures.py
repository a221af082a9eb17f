"""Frames and predictions that need no model, and hooks at work on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import numpy as np

from aiohooks.annotation import Label
from aiohooks.frame import Frame
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import Outcome, OutcomeFeed
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.prediction import Prediction

LABELS = (Label(name="cat"), Label(name="dog"))


def frame(index: int = 0, *, size: tuple[int, int] = (4, 4)) -> Frame:
    return Frame(np.full((*size, 3), index % 256, np.uint8), name=f"frame {index}", index=index, owned=True)


def prediction(score: float = 0.9, label: int = 0) -> Prediction:
    return Prediction.classification((4, 4), LABELS, scores=[score], label_indices=[label])


@asynccontextmanager
async def running(hook: PostInferenceHook, *, deliver: bool = True) -> AsyncIterator[tuple[RunningHook, list[Outcome]]]:
    """Run a hook; the outcomes are there after the block."""
    feed = OutcomeFeed()
    outcomes: list[Outcome] = []
    follower = feed.subscribe()
    run = RunningHook(hook, feed)
    async with anyio.create_task_group() as owner:
        run.start(owner.start_soon)
        yield run, outcomes
        await run.drained()
        if deliver:
            await run.delivered()
        await run.aclose()
    feed.end()
    outcomes += [outcome async for outcome in follower]
