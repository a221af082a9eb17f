"""How late the event loop is while it is saturated with 1080p frames and a hook stores every frame that it can.

A task that sleeps for a millisecond again and again tells how much later than due it wakes. The same runs at the same
time in another process whose loop has nothing else to do: that much is the machine's doing. Beside the table stands
what the loop was doing when it was late.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
import heartbeat
import models
import numpy as np
import options
import stream_lag
import tables
from loop_watch import LATE_SECONDS, LoopWatch
from numpy.typing import NDArray

from aiohooks import AlwaysTrigger, Deployment, FileSystemDataCollection, Frame, HookCounts, PostInferenceHook
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model
from aiohooks.text_table import table

HINT = "THROUGHPUT"
TARGET_MS = 6.0
"""How much larger than the control's the 99th percentile may be."""

FULL_HD = "EfficientNet-Lite0, 1080p"


@dataclass(frozen=True)
class Load:
    """What the loop is saturated with.

    Attributes:
        model: its name.
        source: what is loaded.
        pictures: of 1080p.
        owned: whether the frames are the deployment's own, as those of a video are, or arrays that anybody may change.
        stored: whether a hook stores them.
    """

    model: str
    source: Any
    pictures: Sequence[NDArray[np.uint8]]
    owned: bool
    stored: bool

    def __str__(self) -> str:
        return f"{self.model}, {'owned frames' if self.owned else 'arrays'}, {'hook' if self.stored else 'no hook'}"


async def main() -> None:
    given = options.parse(__doc__)
    seconds = 2.0 if given.quick else 10.0
    real = {case.name: case for case in await models.real()}[FULL_HD]
    sources = {"conv net": models.convolutional_classifier(), "EfficientNet-Lite0": real.source}
    loads = [
        Load(model, source, real.frames, owned=owned, stored=True)
        for model, source in sources.items()
        for owned in (False, True)
    ]
    loads.append(Load("conv net", sources["conv net"], real.frames, owned=False, stored=False))
    with heartbeat.Control() as control:
        rows = [await measure(load, control, seconds) for load in loads]
    show(rows)
    tables.save("loop_lag", given.json, rows)


async def measure(load: Load, control: heartbeat.Control, seconds: float) -> dict[str, Any]:
    loaded = load_model(load.source, performance_hint=HINT)
    opened = partial(anyio.to_thread.run_sync, Model, loaded)
    with tempfile.TemporaryDirectory() as folder:
        async with Deployment(load.model, opened, drain_timeout=0) as deployment:
            store = PostInferenceHook(
                trigger=AlwaysTrigger(), action=FileSystemDataCollection(folder), overflow="drop_newest"
            )
            counts = deployment.add_hook(store).counts if load.stored else HookCounts()
            with LoopWatch() as watch:
                lag, took = await stream_lag.measure(
                    deployment, partial(frames, load), control, seconds, target_p99_ms=TARGET_MS, on_beat=watch.on_beat
                )
            stored = counts.done
    return {
        "load": str(load),
        "hint": HINT,
        "slots": loaded.requests,
        "stored_per_second": stored / took,
        "dropped": counts.dropped,
        **lag,
        "late": len(watch.late),
        "late_ms": {
            key: sum(getattr(one, key) for one in watch.late) * 1e3
            for key in ("seconds", "running", "queued", "in_callbacks")
        },
        "latest": [str(one) for one in sorted(watch.late, key=lambda one: -one.seconds)[:3]],
        "seen_at": dict(watch.lines().most_common(4)),
    }


async def frames(load: Load, over: asyncio.Event) -> AsyncIterator[NDArray[np.uint8] | Frame]:
    index = 0
    while not over.is_set():
        picture = load.pictures[index % len(load.pictures)]
        yield Frame(picture, index=index, owned=True) if load.owned else picture
        await asyncio.sleep(0)
        index += 1


def show(rows: Sequence[dict[str, Any]]) -> None:
    head = (
        "1080p frames",
        "hint",
        "slots",
        "frames/s",
        "stored/s",
        *stream_lag.HEAD,
    )
    cells = [
        (
            row["load"], row["hint"], str(row["slots"]), f"{row['frames_per_second']:.0f}", f"{row['stored_per_second']:.1f}",
            *stream_lag.cells(row),
        )
        for row in rows
    ]  # fmt: skip
    print(f"\nevent-loop lag: how late a heartbeat of 1 ms is  ({stream_lag.MARKS})")
    print("\n".join(table([head, *cells], right={2, 3, 4, 5, 6, 7})))
    print(f"\nwhat the loop was doing when it was more than {LATE_SECONDS * 1e3:g} ms late")
    for row in rows:
        late = row["late_ms"]
        print(f"{row['load']}: {row['late']} of {row['beats']} beats, {late['seconds']:.0f} ms in all", end="")
        if late["running"]:
            print(
                f"; {late['running']:.0f} ms running, {late['queued']:.0f} ms waiting for a processor, the rest ",
                end="",
            )
            print("for the interpreter's lock", end="")
        print(f"; {late['in_callbacks']:.0f} ms of all in callbacks")
        print("".join(f"    {count} times at {line}\n" for line, count in row["seen_at"].items()), end="")
        print("".join(f"    {latest}\n" for latest in row["latest"]), end="")


if __name__ == "__main__":
    asyncio.run(main())
