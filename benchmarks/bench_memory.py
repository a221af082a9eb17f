"""How much memory a long stream of 1080p frames takes, with a slow action on every frame and without a hook.

Every frame is a fresh array, so that one that is held too long shows. Each case runs in a process of its own. If what
the second half of the frames takes at most is more than what the first half took, something grows.
"""

import asyncio
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import models
import numpy as np
import openvino as ov
import options
import tables
from numpy.typing import NDArray

from aiohooks import AlwaysTrigger, Deployment, HookEvent, PostInferenceHook
from aiohooks.hooks.hook import Overflow
from aiohooks.inference.loaded_model import LoadedModel
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model
from aiohooks.text_table import table

HINT = "THROUGHPUT"
TARGET_MIB = 10.0
"""How much the peak may rise in the second half."""

FRAMES = 2000
QUICK_FRAMES = 400
ACTION_SECONDS = 0.05
BARE = "bare AsyncInferQueue"
OVERFLOW: dict[str, Overflow | None] = {"no hook": None, "hook, block": "block", "hook, drop_newest": "drop_newest"}


class Memory:
    """The memory of this process, taken twice: after the first half of the work and after the second.

    Attributes:
        peaks: MiB that it held at most until then.
        held: MiB that it held then.
    """

    def __init__(self) -> None:
        self.peaks: list[float] = []
        self.held: list[float] = []

    def take(self) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.peaks.append(peak / 2**20)
        self.held.append((_resident() or peak) / 2**20)


def _resident() -> int | None:
    statistics = Path("/proc/self/statm")
    return int(statistics.read_text().split()[1]) * resource.getpagesize() if statistics.exists() else None


def main() -> None:
    given = options.parse(__doc__)
    count = QUICK_FRAMES if given.quick else FRAMES
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        rows = [processes.submit(measure, case, count).result() for case in (BARE, *OVERFLOW)]
    show(rows)
    tables.save("memory", given.json, rows)


def measure(case: str, count: int) -> dict[str, Any]:
    loaded = load_model(models.convolutional_classifier(), performance_hint=HINT)
    memory = Memory()
    start = time.perf_counter()
    if case == BARE:
        run_bare(loaded.compiled, loaded.requests, fresh_frames(count, memory))
    else:
        asyncio.run(run_stream(loaded, OVERFLOW[case], fresh_frames(count, memory)))
    memory.take()
    (first, second), held = memory.peaks, memory.held
    return {
        "case": case,
        "model": "conv net, 1080p",
        "hint": HINT,
        "slots": loaded.requests,
        "frames": count,
        "frames_per_second": count / (time.perf_counter() - start),
        "peak_mib": memory.peaks,
        "held_mib": held,
        "rise_mib": second - first,
        "target_mib": None if case == BARE else TARGET_MIB,
    }


def fresh_frames(count: int, memory: Memory) -> Iterator[NDArray[np.uint8]]:
    for index in range(count):
        if index == count // 2:
            memory.take()
        frame = np.empty((*models.FULL_HD, 3), np.uint8)
        frame.fill(index % 256)
        yield frame


def run_bare(compiled: ov.CompiledModel, slots: int, frames: Iterator[NDArray[np.uint8]]) -> None:
    queue = ov.AsyncInferQueue(compiled, slots)
    queue.set_callback(lambda request, _: request.get_output_tensor(0).data.copy())
    for frame in frames:
        queue.start_async([frame[None]], frame, share_inputs=True)
    queue.wait_all()


async def run_stream(loaded: LoadedModel, overflow: Overflow | None, frames: Iterator[NDArray[np.uint8]]) -> None:
    async with Deployment(loaded.name, partial(anyio.to_thread.run_sync, Model, loaded)) as deployment:
        if overflow is not None:
            deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=slow_action, overflow=overflow))
        async for _ in deployment.stream(frames):
            pass


async def slow_action(_: HookEvent) -> None:
    await anyio.sleep(ACTION_SECONDS)


def show(rows: Sequence[dict[str, Any]]) -> None:
    half = rows[0]["frames"] // 2
    head = (
        "case", "model", "hint", "slots", "frames/s", f"peak, first {half:,}", f"peak, second {half:,}", "rise",
        "held then", "after closing", "target",  "",
    )  # fmt: skip
    cells = [
        (
            row["case"], row["model"], row["hint"], str(row["slots"]), f"{row['frames_per_second']:.0f}",
            *[f"{value:.0f}" for value in row["peak_mib"]], f"{row['rise_mib']:.1f}",
            *[f"{value:.0f}" for value in row["held_mib"]], *verdict(row),
        )
        for row in rows
    ]  # fmt: skip
    print(f"\nmemory of a stream in MiB  (resident; an action takes {ACTION_SECONDS * 1e3:g} ms)")
    print("\n".join(table([head, *cells], right=range(3, 10))))


def verdict(row: dict[str, Any]) -> tuple[str, str]:
    target = row["target_mib"]
    if target is None:
        return "", ""
    return f"< {target:g}", "ok" if row["rise_mib"] < target else "MISSED"


if __name__ == "__main__":
    main()
