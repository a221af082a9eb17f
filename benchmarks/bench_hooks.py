"""What hooks cost: streams with and without them, on the same compiled model.

Measured is how long the stream takes. What the hooks still have in their queues then is finished before the next turn,
outside of the measurement; only ``drop`` rows can shed work.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import alternation
import anyio.to_thread
import cv2
import models
import options
import slow_server
import tables
from tables import Row

from aiohooks import (
    AlwaysTrigger,
    Deployment,
    FileSystemDataCollection,
    Frame,
    HttpRequestAction,
    PostInferenceHook,
    Rate,
)
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model

NO_HOOK = "no hook"
PLACE = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""For files: in memory where there is such a place. What a file system takes to make a file differs by ten times."""


@dataclass(frozen=True)
class Setup:
    """Hooks on every frame of a stream.

    Attributes:
        what: for tables.
        hooks: the hooks.
        with_bytes: whether the frames carry the bytes that they were decoded from.
        target: the most that the stream may take, as a ratio.
    """

    what: str
    hooks: Sequence[PostInferenceHook] = ()
    with_bytes: bool = False
    target: float | None = None


@dataclass
class Tally:
    """What became of the frames, over all turns."""

    seconds: float = 0.0
    done: int = 0
    dropped: int = 0
    seen: int = 0

    def __str__(self) -> str:
        return f"{self.seen} frames seen, {self.done} actions done ({self.done / self.seconds:.0f} for a second of the stream), {self.dropped} dropped"


def setups(folder: str, url: str) -> list[Setup]:
    picture = FileSystemDataCollection(
        f"{folder}/picture", save_overlays=False, save_predictions=False, save_scores=False
    )
    picture_and_prediction = FileSystemDataCollection(f"{folder}/own", save_overlays=False)
    as_jpeg = FileSystemDataCollection(f"{folder}/jpeg", save_overlays=False, image_format="jpeg")
    everything = FileSystemDataCollection(f"{folder}/all")
    request = HttpRequestAction(url, method="POST", include_prediction_data=True, log_level="debug")
    return [
        Setup("one hook, 1/s: files with overlay", [_hook(everything, rate=Rate(1))], target=1.02),
        Setup(
            "two hooks, 1/s: files, HTTP", [_hook(everything, rate=Rate(1)), _hook(request, rate=Rate(1))], target=1.02
        ),
        Setup("every frame to disk, own bytes", [_hook(picture)], with_bytes=True, target=1.05),
        Setup("the same with prediction and score", [_hook(picture_and_prediction)], with_bytes=True),
        Setup("every frame to disk, JPEG, drop", [_hook(as_jpeg, overflow="drop_newest")], target=1.15),
        Setup("every frame to HTTP, drop", [_hook(request, overflow="drop_newest", max_pending=1)], target=1.03),
        Setup(
            "the same, one at a time",
            [_hook(request, overflow="drop_newest", max_pending=1, max_concurrency=1)],
            target=1.03,
        ),
        Setup("every frame to HTTP, block", [_hook(request, max_concurrency=32)]),
    ]


def _hook(action: Any, **limits: Any) -> PostInferenceHook:
    return PostInferenceHook(trigger=AlwaysTrigger(), action=action, **limits)


async def main() -> None:
    given = options.parse(__doc__)
    empty, _, convolutions = models.synthetic()
    lite0 = (await models.real())[0]
    photographs = [cv2.resize(picture, models.VGA[::-1]) for picture in lite0.frames]
    convolutions = replace(convolutions, frames=photographs)
    chosen = [lite0] if given.quick else [empty, convolutions, lite0]
    rows: list[Row] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(dir=PLACE) as folder, slow_server.running() as server:
        every = setups(folder, f"{server.url}/")
        for case in chosen:
            for setup in [setup for setup in every if setup.target or not given.quick]:
                row, tally = await measure(case, setup, given, Path(folder))
                rows.append(row)
                notes.append(f"{case.name}, {setup.what}: {tally}")
    tables.show("hooks ↔ no hook", rows)
    print("", *notes, sep="\n")
    tables.save("hooks", given.json, [*rows, {"notes": notes}])


async def measure(case: models.Case, setup: Setup, given: options.Options, folder: Path) -> tuple[Row, Tally]:
    loaded = await anyio.to_thread.run_sync(lambda: load_model(case.source, **case.options))
    frames = [as_frame(image, with_bytes=setup.with_bytes) for image in case.frames]
    tally = Tally()

    async with AsyncExitStack() as open_ones:
        plain = await open_ones.enter_async_context(
            Deployment(case.name, partial(anyio.to_thread.run_sync, Model, loaded))
        )
        hooked = await open_ones.enter_async_context(
            Deployment(case.name, partial(anyio.to_thread.run_sync, Model, loaded))
        )
        running = [hooked.add_hook(hook) for hook in setup.hooks]
        contenders = {
            NO_HOOK: streamed(plain, frames, Tally(), folder),
            setup.what: streamed(hooked, frames, tally, folder),
        }
        # After a pause a hook at 1/s acts at once: one action in a turn should be about one in a second.
        is_limited = any(hook.rate is not None for hook in setup.hooks)
        seconds = (0.6 if given.quick else 1.0) if is_limited else given.seconds
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=seconds, least=32)
        tally.done = sum(one.counts.done for one in running)
        tally.dropped = sum(one.counts.dropped + one.counts.rate_limited for one in running)
    names = {
        "what": setup.what,
        "model": case.name,
        "hint": loaded.description.performance_hint,
        "slots": loaded.requests,
    }
    target = None if case.empty else setup.target
    return tables.compare(taken, ours=setup.what, other=NO_HOOK, target=target, **names), tally


def as_frame(image: Any, *, with_bytes: bool) -> Frame:
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes() if with_bytes else None
    return Frame(image, encoded=encoded, owned=True)


def streamed(deployment: Deployment, frames: Sequence[Frame], tally: Tally, folder: Path) -> alternation.Burst:
    async def burst(count: int) -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async for _ in deployment.stream([frames[index % len(frames)] for index in range(count)]):
            pass
        seconds = loop.time() - start
        await deployment.drained()
        empty(folder)
        tally.seconds += seconds
        tally.seen += count
        return seconds

    return burst


def empty(folder: Path) -> None:
    """Remove all files, so that the next ones take the memory of these: a machine that must find new memory takes longer."""
    for file in folder.rglob("*.*"):
        file.unlink()


if __name__ == "__main__":
    asyncio.run(main())
