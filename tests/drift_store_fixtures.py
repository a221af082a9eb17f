"""A small baseline, fitted once, and events like those of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import Bin
from aiohooks.monitors.drift.event import EventBatch
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.example import Example
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.summary import WindowSummary
from aiohooks.monitors.drift.window import Window, WindowKey

WIDTH = 6
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


@cache
def baseline(seed: int = 0) -> DriftBaseline:
    rng = np.random.default_rng(seed)
    return DriftBaseline.fit_arrays(
        features(rng, 600), rng.dirichlet(np.ones(3), 600), components=4, random_features=16, windows=400, seed=seed
    )


def features(rng: np.random.Generator, count: int, *, shift: float = 0.0) -> NDArray[np.float64]:
    return rng.normal(shift, 1.0, (count, WIDTH))


def batch(times: Sequence[float], *, seed: int = 0, **columns: Any) -> EventBatch:
    rng = np.random.default_rng(seed)
    return EventBatch(np.array(times), features(rng, len(times)).astype(np.float32), **columns)


def summary(count: int = 1, *, seed: int = 0) -> WindowSummary:
    fitted = baseline()
    return fitted.summarise(fitted.project(EventArrays(features(np.random.default_rng(seed), count))))


def window(
    start: float, count: int = 1, *, length: Bin = "minute", version: str = "v", segment: str = "", **more: Any
) -> Window:
    seed = more.pop("seed", int(start))
    return Window(WindowKey(length, int(start), version, segment), summary(count, seed=seed), **more)


def example(key: float, time: float = 0.0) -> Example:
    return Example(key, time, b"jpeg", "", "cat", 0.5)


def open_store(path: Path) -> DriftStore:
    return DriftStore.open(path, baseline().identity)
