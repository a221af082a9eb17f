"""How late the event loop is while a stream keeps it busy, beside the same in a process whose loop has nothing else to do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import anyio.to_thread
import heartbeat
import numpy as np
from numpy.typing import NDArray

from aiohooks import Deployment, Frame

WARM_UP_SECONDS = 0.4
MARKS = "median / 99th percentile / maximum"
HEAD = ("ours ms", "control ms", "difference", "p99 target", "")
"""Columns of `cells`."""

Source = AsyncIterator[NDArray[np.uint8] | Frame]


async def measure(
    deployment: Deployment,
    source: Callable[[asyncio.Event], Source],
    control: heartbeat.Control,
    seconds: float,
    *,
    target_p99_ms: float,
    on_beat: Callable[[float], None] | None = None,
) -> tuple[dict[str, Any], float]:
    """Return how late a heartbeat was in milliseconds, and for how long the stream ran, in seconds.

    Args:
        deployment: whose stream it is.
        source: gives frames until the event is set.
        control: beats at the same time.
        seconds: to beat, after a warm-up.
        target_p99_ms: how much larger than the control's the 99th percentile may be.
        on_beat: told of each beat by how much it was late.
    """
    over = asyncio.Event()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_read(deployment, source(over)))
        await asyncio.sleep(WARM_UP_SECONDS)
        beside = group.create_task(anyio.to_thread.run_sync(control.beat, seconds))
        ours = await heartbeat.beat(seconds, on_beat)
        over.set()
    took = time.perf_counter() - start
    ours_ms, control_ms = _in_milliseconds(ours), _in_milliseconds(beside.result())
    difference = [one - other for one, other in zip(ours_ms, control_ms, strict=True)]
    lag = {
        "frames_per_second": reading.result() / took,
        "beats": len(ours),
        "ours_ms": ours_ms,
        "control_ms": control_ms,
        "difference_ms": difference,
        "target_p99_ms": target_p99_ms,
        "ok": difference[1] <= target_p99_ms,
    }
    return lag, took


def cells(lag: Mapping[str, Any]) -> list[str]:
    """Return the end of a table's row."""
    return [
        *[" / ".join(f"{value:.1f}" for value in lag[key]) for key in ("ours_ms", "control_ms", "difference_ms")],
        f"≤ {lag['target_p99_ms']:g}",
        "ok" if lag["ok"] else "MISSED",
    ]


async def _read(deployment: Deployment, source: Source) -> int:
    count = 0
    async for _ in deployment.stream(source):
        count += 1
    return count


def _in_milliseconds(late: Sequence[float]) -> list[float]:
    """Return median, 99th percentile and maximum."""
    return [float(value) * 1e3 for value in np.percentile(late, [50, 99, 100])]
