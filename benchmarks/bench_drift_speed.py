"""What it costs to have every inference of a deployment watched for drift: an attached DriftMonitor against none; and how large its file is.

EfficientNet-Lite0, with its 1,280 features and 1,000 classes. The baseline is fitted on features drawn around those of real pictures: for the cost only
their number counts. The notes tell what one event costs the event loop, processor time of its thread alone, and what a day at 30 events a
second takes on disk: every minute has the sums of 1,800 events that differ, and four pictures.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import alternation
import anyio
import anyio.to_thread
import cv2
import models
import numpy as np
import options
import tables
from bench_ood_speed import drawn
from tables import Row

from aiohooks import Deployment, Frame, Prediction
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.example import Example
from aiohooks.monitors.drift.image_statistics import measure as measured
from aiohooks.monitors.drift.image_statistics import sample
from aiohooks.monitors.drift.monitor import DriftMonitor
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.thumbnail import jpeg_of, small
from aiohooks.monitors.drift.window import Window, WindowKey

TARGET = 1 / 0.98
"""Of its throughput, inference with a monitor is to keep 0.98."""

EVENTS_A_MINUTE = 1_800


async def main() -> None:
    given = options.parse(__doc__)
    lite0 = (await models.real())[0]
    frames = [Frame(cv2.resize(picture, models.VGA[::-1]), owned=True) for picture in lite0.frames]
    loaded = await anyio.to_thread.run_sync(lambda: load_model(lite0.source, **lite0.options))
    plain = Deployment(lite0.name, partial(anyio.to_thread.run_sync, Model, loaded))
    async with plain:
        predictions = [await plain.infer(frame) for frame in frames]
    centres = np.array([prediction.feature_vector for prediction in predictions])
    rng = np.random.default_rng(0)
    count = 500 if given.quick else 4_000
    events = EventArrays.of(drawn(centres, count), rng.dirichlet(np.full(1_000, 0.01), count), numbers(frames, count))
    fit = partial(
        DriftBaseline.fit_arrays,
        events.features, events.probabilities, events.image_stats,
        windows=200 if given.quick else 2_000,
    )  # fmt: skip
    baseline = await anyio.to_thread.run_sync(fit)
    rows = [await compare(baseline, loaded, frames, given)]
    tables.show("watched ↔ not watched", rows)
    notes = [await one_event(baseline, frames, predictions)]
    narrow = DriftBaseline.fit_arrays(events.features[:, :128], windows=200)
    few = [
        Prediction.classification((480, 640), ["a", "b"], [0.9], [0], feature_vector=vector[:128]) for vector in centres
    ]
    notes.append(await one_event(narrow, frames, few))
    notes.append(await anyio.to_thread.run_sync(day_on_disk, baseline, events, frames, 144 if given.quick else 1_440))
    print("", *notes, sep="\n")
    tables.save("drift_speed", given.json, [*rows, {"notes": notes}])


def numbers(frames: list[Frame], count: int) -> dict[str, Any]:
    """Image statistics around those of real pictures."""
    found = measured([sample(frame.image) for frame in frames])
    rng = np.random.default_rng(1)
    return {name: np.resize(values, count) * rng.uniform(0.9, 1.1, count) for name, values in found.items()}


@asynccontextmanager
async def monitor(baseline: DriftBaseline) -> AsyncIterator[DriftMonitor]:
    with TemporaryDirectory() as folder:
        async with DriftMonitor(baseline, Path(folder) / "drift.db", actions=()) as opened:
            yield opened


async def compare(baseline: DriftBaseline, loaded: Any, frames: list[Frame], given: options.Options) -> Row:
    async with AsyncExitStack() as open_ones:
        plain, watched = [
            await open_ones.enter_async_context(
                Deployment("EfficientNet-Lite0", partial(anyio.to_thread.run_sync, Model, loaded))
            )
            for _ in range(2)
        ]
        watching = await open_ones.enter_async_context(monitor(baseline))
        watched.attach(watching)

        def streamed(deployment: Deployment) -> alternation.Burst:
            async def burst(count: int) -> None:
                async for _ in deployment.stream([frames[index % len(frames)] for index in range(count)]):
                    pass
                await deployment.drained()

            return burst

        contenders = {"no monitor": streamed(plain), "DriftMonitor": streamed(watched)}
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=2 * given.seconds, least=32)
        assert not watching.counts.dropped
    names = {"model": "EfficientNet-Lite0", "hint": loaded.description.performance_hint, "slots": loaded.requests}
    return tables.compare(taken, ours="DriftMonitor", other="no monitor", what="DriftMonitor", target=TARGET, **names)


async def one_event(
    baseline: DriftBaseline, frames: list[Frame], predictions: list[Prediction], count: int = 4_096
) -> str:
    """Say what one event costs the loop and the worker thread, processor time; the median of batches."""
    async with monitor(baseline) as watching:
        on_loop, in_all = [], []
        for start in range(0, count, 64):
            began, began_all = time.thread_time(), time.process_time()
            for index in range(start, start + 64):
                await watching.observe(frames[index % len(frames)], predictions[index % len(predictions)])
            await watching.flush()
            on_loop.append(time.thread_time() - began)
            in_all.append(time.process_time() - began_all)
    loop, every = (float(np.median(taken)) / 64 * 1e6 for taken in (on_loop, in_all))
    return f"{baseline.width:,} features: {loop:.0f} µs an event on the loop, {every:.0f} µs of all threads, a flush for every 64 events included"


def day_on_disk(baseline: DriftBaseline, events: EventArrays, frames: list[Frame], minutes: int) -> str:
    """Say how large the file is after a day at 30 events a second."""
    added = baseline.project(events)
    rng = np.random.default_rng(2)
    pictures = [jpeg_of(small(frame.image)) for frame in frames]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drift.db"
        store = DriftStore.open(path, baseline.identity)
        baseline.save(Path(folder) / "baseline")
        store.keep_baseline_file((Path(folder) / "baseline").read_bytes())
        for minute in range(minutes):
            summary = baseline.summarise(added.take(rng.integers(len(added), size=EVENTS_A_MINUTE)))
            examples = tuple(
                Example(
                    float(rng.random()), minute * 60.0, pictures[int(rng.integers(len(pictures)))], "", "a label", 0.5
                )
                for _ in range(4)
            )
            store.add([Window(WindowKey("minute", minute * 60, "EfficientNet-Lite0", ""), summary, examples=examples)])
        store.close()
        nbytes = path.stat().st_size
        fixed = (Path(folder) / "baseline").stat().st_size
    day = (nbytes - fixed) * 1_440 / minutes / 1e6
    return (
        f"{baseline.width:,} features, {baseline.classes:,} classes: {day:.0f} MB for a day of {EVENTS_A_MINUTE * 1_440:,} events, "
        f"{day / (EVENTS_A_MINUTE * 1_440 / 1e6):.1f} MB a million, beside {fixed / 1e6:.1f} MB for the baseline"
    )


if __name__ == "__main__":
    asyncio.run(main())
