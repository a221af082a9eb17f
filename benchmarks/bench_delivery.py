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
import options
import slow_server
import stream_lag
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
STREAM_SECONDS = 1.0
"""Of one turn: how busy the processors are shows after a while only."""

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
        Setup(
            "the same, does not give way",
            spooled(url, Spool(f"{place}/greedy"), gives_way=False),
            target=None,
        ),
        Setup("the same, server down", spooled(DOWN, Spool(f"{place}/down")), is_delivered=False),
        Setup("the same, fsync always", spooled(url, Spool(f"{place}/always", fsync="always")), target=None),
    ]


def spooled(url: str, spool: Spool, *, gives_way: bool = True, **limits: Any) -> PostInferenceHook:
    request = HttpRequestAction(url, "POST", include_prediction_data=True, log_level="debug")
    delivery = Delivery(spool) if gives_way else Delivery(spool, busy_rate=None)
    return PostInferenceHook(trigger=AlwaysTrigger(), action=request, delivery=delivery, **limits)


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
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=STREAM_SECONDS, least=32)
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
    with tempfile.TemporaryDirectory() as folder, slow_fsync(fsync_seconds):
        opened = partial(anyio.to_thread.run_sync, Model, loaded)
        async with Deployment(case.name, opened, drain_timeout=0) as deployment:
            spool = Spool(folder, fsync="always")
            running = deployment.add_hook(spooled(url, spool, overflow="drop_newest"))
            lag, took = await stream_lag.measure(
                deployment, partial(endless, pictures), control, seconds, target_p99_ms=TARGET_MS
            )
    return {
        "what": f"{case.name}, fsync takes {fsync_seconds * 1e3:g} ms longer"
        if fsync_seconds
        else f"{case.name}, fsync as it is",
        "kept_per_second": running.counts.done / took,
        "dropped": running.counts.dropped,
        **lag,
    }


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


def show(rows: Sequence[dict[str, Any]]) -> None:
    head = (
        "spool on every frame",
        "frames/s",
        "kept/s",
        "dropped",
        *stream_lag.HEAD,
    )
    cells = [
        (
            row["what"], f"{row['frames_per_second']:.0f}", f"{row['kept_per_second']:.0f}", str(row["dropped"]),
            *stream_lag.cells(row),
        )
        for row in rows
    ]  # fmt: skip
    print(f"\nevent-loop lag: how late a heartbeat of 1 ms is  ({stream_lag.MARKS})")
    print("\n".join(table([head, *cells], right={1, 2, 3, 4, 5, 6})))


if __name__ == "__main__":
    asyncio.run(main())
