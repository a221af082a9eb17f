"""aiohooks against OpenVINO itself, on the same compiled model: one by one, many at once, and streamed."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import alternation
import anyio.to_thread
import bare
import models
import options
import tables
from tables import Row

from aiohooks import Deployment
from aiohooks.inference.infer_queue import InferQueue
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model

QUEUE_TARGETS = {"one by one": 1.3, "at once": 0.85, "streamed": 0.85}
EMPTY_TARGETS = {"one by one": 1.6, "at once": 1.2, "streamed": 1.2}
REAL_TARGET = 1.05
HINTS = ("THROUGHPUT",)


async def main() -> None:
    given = options.parse(__doc__)
    rows: list[Row] = []
    lite0, full_hd, detector = await models.real()
    for case in [*models.synthetic(), lite0, *([] if given.quick else [full_hd]), detector]:
        for hint in HINTS:
            rows += await measure(case, hint, given)
    tables.show("aiohooks ↔ bare OpenVINO", rows)
    tables.save("inference", given.json, rows)


async def measure(case: models.Case, hint: str, given: options.Options) -> list[Row]:
    loaded = load_model(case.source, performance_hint=hint, **case.options)
    slots = loaded.requests
    inputs = bare.batched(case.frames)
    rows: list[Row] = []

    def compared(what: str, ours: str, taken: dict[str, list[float]], target: float | None) -> None:
        names = {"what": what, "model": case.name, "hint": hint, "slots": slots}
        rows.append(tables.compare(taken, ours=ours, other="bare", lean="lean", target=target, **names))

    plain, lean = bare.sequential(loaded.compiled, inputs), bare.lean_sequential(loaded.compiled, inputs)
    others = {
        "one by one": (plain, lean),
        "at once": (bare.queued(loaded.compiled, inputs, slots), bare.lean_queued(loaded.compiled, inputs, slots)),
    }
    others["streamed"] = others["at once"]

    queue = InferQueue(loaded.compiled, slots)
    deployment = Deployment(case.name, partial(anyio.to_thread.run_sync, Model, loaded))
    async with deployment:
        for what, (plain, lean) in others.items():
            contenders = {"bare": blocking(plain), "lean": blocking(lean)}
            if case.empty:
                contenders["InferQueue"] = QUEUE_WORK[what](queue, inputs)
            contenders["Deployment"] = WORK[what](deployment, case.frames)
            taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=given.seconds)
            if case.empty:
                compared(f"InferQueue, {what}", "InferQueue", taken, QUEUE_TARGETS[what])
            compared(what, "Deployment", taken, EMPTY_TARGETS[what] if case.empty else REAL_TARGET)
    await queue.aclose()
    return rows


def blocking(run: bare.Run) -> alternation.Burst:
    async def burst(count: int) -> None:  # noqa: ASYNC124  # it blocks, as its users do
        run(count)

    return burst


def one_by_one(deployment: Deployment, frames: Any) -> alternation.Burst:
    async def burst(count: int) -> None:
        for index in range(count):
            await deployment.infer(frames[index % len(frames)])

    return burst


def at_once(deployment: Deployment, frames: Any) -> alternation.Burst:
    return _shared_out(lambda index: deployment.infer(frames[index % len(frames)]), 2 * deployment.model.slots)


def streamed(deployment: Deployment, frames: Any) -> alternation.Burst:
    async def burst(count: int) -> None:
        async for _ in deployment.stream([frames[index % len(frames)] for index in range(count)]):
            pass

    return burst


def queue_one_by_one(queue: InferQueue, inputs: Any) -> alternation.Burst:
    async def burst(count: int) -> None:
        for index in range(count):
            await queue.infer([inputs[index % len(inputs)]])

    return burst


def queue_at_once(queue: InferQueue, inputs: Any) -> alternation.Burst:
    return _shared_out(lambda index: queue.infer([inputs[index % len(inputs)]]), 2 * queue.slots)


def queue_streamed(queue: InferQueue, inputs: Any) -> alternation.Burst:
    """The order of a stream without its frames: the next begins when the oldest is done."""

    async def burst(count: int) -> None:
        running: list[asyncio.Task[Any]] = []
        async with asyncio.TaskGroup() as group:
            for index in range(count):
                if len(running) == 2 * queue.slots:
                    await running.pop(0)
                running.append(group.create_task(queue.infer([inputs[index % len(inputs)]])))

    return burst


def _shared_out(infer: Callable[[int], Awaitable[Any]], callers: int) -> alternation.Burst:
    async def burst(count: int) -> None:
        indices = iter(range(count))

        async def caller() -> None:
            for index in indices:
                await infer(index)

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())

    return burst


WORK = {"one by one": one_by_one, "at once": at_once, "streamed": streamed}
QUEUE_WORK = {"one by one": queue_one_by_one, "at once": queue_at_once, "streamed": queue_streamed}

if __name__ == "__main__":
    asyncio.run(main())
