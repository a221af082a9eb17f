"""What it costs to keep every frame in a spool until it is delivered: inference with and without, and how late the event loop is.

The first table measures how long a stream takes; what is in the spool then is delivered before the next turn, outside of the
measurement, unless the server is down. The second has every fsync take long, so that the disk does not keep up and the hook drops what it
cannot keep; the heartbeat is that of ``bench_loop_lag``.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import alternation
import anyio.to_thread
import heartbeat
import models
import numpy as np
import options
import slow_server
import tables
from bench_hooks import NO_HOOK, PLACE, as_frame

from aiohooks import AlwaysTrigger, Deployment, Frame, HttpRequestAction, PostInferenceHook, RunningHook
from aiohooks.delivery.delivery import Delivery
from aiohooks.delivery.spool import Spool
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model
from aiohooks.text_table import table

TARGET = 1.10
TARGET_MS = 5.0
"""How much larger than the control's the 99th percentile of the loop's lag may be."""

SLOW_FSYNC_SECONDS = 0.1
WARM_UP_SECONDS = 0.4
DOWN = "http://127.0.0.1:9/"


@dataclass(frozen=True)
class Setup:
    """A spooled request for every frame.

    Attributes:
        what: for tables.
        hook: the hook.
        target: the most that the stream may take, as a ratio.
        is_delivered: whether the server is there to be delivered to.
    """

    what: str
    hook: PostInferenceHook
    target: float | None = TARGET
    is_delivered: bool = True


def setups(place: Path, url: str) -> list[Setup]:
    return [
        Setup("every frame spooled, HTTP", spooled(url, Spool(f"{place}/http"))),
        Setup("the same, server down", spooled(DOWN, Spool(f"{place}/down")), is_delivered=False),
        Setup("the same, fsync always", spooled(url, Spool(f"{place}/always", fsync="always")), target=None),
    ]


def spooled(url: str, spool: Spool, **limits: Any) -> PostInferenceHook:
    request = HttpRequestAction(url, "POST", include_prediction_data=True, log_level="debug")
    return PostInferenceHook(trigger=AlwaysTrigger(), action=request, delivery=Delivery(spool), **limits)


async def main() -> None:
    given = options.parse(__doc__)
    cases = (await models.real())[:1] if given.quick else await models.real()
    rows: list[tables.Row] = []
    notes: list[str] = []
    with slow_server.running() as server:
        for case in cases:
            with tempfile.TemporaryDirectory(dir=PLACE) as place:
                for setup in setups(Path(place), f"{server.url}/"):
                    row, running = await measure(case, setup, given)
                    rows.append(row)
                    delivery = running.delivery
                    assert delivery is not None
                    notes.append(
                        f"{case.name}, {setup.what}: {running.counts.done} kept, {delivery.counts.delivered} delivered"
                    )
        tables.show("a spooled action on every frame ↔ no hook", rows)
        print("", *notes, sep="\n")
        with heartbeat.Control() as control:
            lag = [
                await measure_lag(cases[0], seconds, control, given, f"{server.url}/")
                for seconds in (0.0, SLOW_FSYNC_SECONDS)
            ]
    show(lag)
    tables.save("delivery", given.json, [*rows, {"notes": notes}, *lag])


async def measure(case: models.Case, setup: Setup, given: options.Options) -> tuple[tables.Row, RunningHook]:
    loaded = await anyio.to_thread.run_sync(lambda: load_model(case.source, **case.options))
    frames = [as_frame(image, with_bytes=True) for image in case.frames]
    async with AsyncExitStack() as open_ones:
        plain, hooked = [
            await open_ones.enter_async_context(
                Deployment(case.name, partial(anyio.to_thread.run_sync, Model, loaded), drain_timeout=1)
            )
            for _ in range(2)
        ]
        running = hooked.add_hook(setup.hook)
        contenders = {
            NO_HOOK: streamed(plain, frames, None),
            setup.what: streamed(hooked, frames, running if setup.is_delivered else None),
        }
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=given.seconds, least=32)
    names = {"model": case.name, "hint": loaded.description.performance_hint, "slots": loaded.requests}
    row = tables.compare(taken, ours=setup.what, other=NO_HOOK, what=setup.what, target=setup.target, **names)
    return row, running


def streamed(deployment: Deployment, frames: Sequence[Frame], delivering: RunningHook | None) -> alternation.Burst:
    async def burst(count: int) -> float:
        start = time.perf_counter()
        async for _ in deployment.stream([frames[index % len(frames)] for index in range(count)]):
            pass
        seconds = time.perf_counter() - start
        await deployment.drained()
        if delivering is not None:
            await delivering.delivered()
        return seconds

    return burst


async def measure_lag(
    case: models.Case, fsync_seconds: float, control: heartbeat.Control, given: options.Options, url: str
) -> dict[str, Any]:
    seconds = 2.0 if given.quick else 10.0
    loaded = await anyio.to_thread.run_sync(lambda: load_model(case.source, **case.options))
    pictures = [as_frame(image, with_bytes=True) for image in case.frames]
    over = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder, slow_fsync(fsync_seconds):
        opened = partial(anyio.to_thread.run_sync, Model, loaded)
        async with Deployment(case.name, opened, drain_timeout=0) as deployment:
            spool = Spool(folder, fsync="always")
            running = deployment.add_hook(spooled(url, spool, overflow="drop_newest"))
            start = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(read(deployment, endless(pictures, over)))
                await asyncio.sleep(WARM_UP_SECONDS)
                beside = group.create_task(anyio.to_thread.run_sync(control.beat, seconds))
                ours = await heartbeat.beat(seconds)
                over.set()
            took = time.perf_counter() - start
    ours_ms, control_ms = in_milliseconds(ours), in_milliseconds(beside.result())
    difference = [one - other for one, other in zip(ours_ms, control_ms, strict=True)]
    return {
        "what": f"{case.name}, fsync takes {fsync_seconds * 1e3:g} ms longer" if fsync_seconds else f"{case.name}, fsync as it is",
        "frames_per_second": reading.result() / took,
        "kept_per_second": running.counts.done / took,
        "dropped": running.counts.dropped,
        "ours_ms": ours_ms,
        "control_ms": control_ms,
        "difference_ms": difference,
        "target_p99_ms": TARGET_MS,
        "ok": difference[1] <= TARGET_MS,
    }  # fmt: skip


@contextmanager
def slow_fsync(seconds: float) -> Iterator[None]:
    """Have every fsync of this process take longer, off the interpreter's lock as it does itself."""
    real = {name: getattr(os, name) for name in ("fsync", "fdatasync") if hasattr(os, name)}

    def slow(sync: Callable[[int], None], fd: int) -> None:
        time.sleep(seconds)
        sync(fd)

    for name, sync in real.items():
        setattr(os, name, partial(slow, sync))
    try:
        yield
    finally:
        for name, sync in real.items():
            setattr(os, name, sync)


async def endless(pictures: Sequence[Frame], over: asyncio.Event) -> AsyncIterator[Frame]:
    index = 0
    while not over.is_set():
        yield pictures[index % len(pictures)]
        await asyncio.sleep(0)
        index += 1


async def read(deployment: Deployment, source: AsyncIterator[Frame]) -> int:
    count = 0
    async for _ in deployment.stream(source):
        count += 1
    return count


def in_milliseconds(late: Sequence[float]) -> list[float]:
    """Return median, 99th percentile and maximum."""
    return [float(value) * 1e3 for value in np.percentile(late, [50, 99, 100])]


def show(rows: Sequence[dict[str, Any]]) -> None:
    head = (
        "spool on every frame",
        "frames/s",
        "kept/s",
        "dropped",
        "ours ms",
        "control ms",
        "difference",
        "p99 target",
        "",
    )
    cells = [
        (
            row["what"], f"{row['frames_per_second']:.0f}", f"{row['kept_per_second']:.0f}", str(row["dropped"]),
            *[" / ".join(f"{value:.1f}" for value in row[key]) for key in ("ours_ms", "control_ms", "difference_ms")],
            f"≤ {row['target_p99_ms']:g}", "ok" if row["ok"] else "MISSED",
        )
        for row in rows
    ]  # fmt: skip
    print("\nevent-loop lag: how late a heartbeat of 1 ms is  (median / 99th percentile / maximum)")
    print("\n".join(table([head, *cells], right={1, 2, 3, 4, 5, 6})))


if __name__ == "__main__":
    asyncio.run(main())
