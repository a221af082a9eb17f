"""A database of four days: two as the baseline, one moved, one dark with other labels."""

from functools import cache
from pathlib import Path

import anyio
import cv2
import drift_fixtures
import numpy as np

from aiohooks.monitors.drift import DriftBaseline, DriftMonitor, DriftRule

MONDAY = 1_791_763_200 // 604_800 * 604_800 + 4 * 86_400
DAYS, EVENTS = 4, 240
LABELS = ["cat", "dog</script><b>", "a bird with a name that is longer than a key has room for"]


def picture(seed: int, brightness: float = 1.0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 16, 3)) * brightness
    return cv2.imencode(".jpg", cv2.resize(pixels.astype(np.uint8), (64, 48)))[1].tobytes()


@cache
def baseline() -> DriftBaseline:
    given = drift_fixtures.events(500, 77)
    return DriftBaseline.fit_arrays(
        given.features, given.probabilities, {"brightness": np.clip(given.image_stats["brightness"] / 255, 0, 1)},
        windows=300, random_features=32, examples=[picture(seed) for seed in range(6)],
    )  # fmt: skip


def write(path: Path, *, keep_events: bool = True, days: int = DAYS, events: int = EVENTS) -> None:
    anyio.run(_write, path, keep_events, days, events)


async def _write(path: Path, keep_events: bool, days: int, events: int) -> None:
    rules = [
        DriftRule(name="days <i>", bin="day", critical_rate=0.001),
        DriftRule(name="few", metric="events", side="below", bin="hour", warning=6.0, critical=None),
    ]
    monitor = DriftMonitor(
        baseline(),
        path,
        rules=rules,
        actions=[],
        labels=LABELS,
        model_version="m1",
        keep_events=keep_events,
        clock=lambda: now[0],
    )
    now = [MONDAY + 86_400.0 * days - 60]
    async with monitor:
        for day in range(days):
            rng = np.random.default_rng(day)
            given = drift_fixtures.events(
                events, day, moved=1.0 * (day == 2), labels=(8, 1, 1) if day == 3 else (1, 1, 1), dark=60.0 * (day == 3)
            )
            predicted = given.probabilities.argmax(1)
            await monitor.publish(
                {
                    "features": given.features,
                    "probabilities": given.probabilities,
                    "timestamp": MONDAY + 86_400 * day + np.sort(rng.uniform(0, 86_400, events)),
                    "brightness": np.clip(given.image_stats["brightness"] / 255, 0, 1),
                    "segment": ["line A" if i % 3 else "line B" for i in range(events)],
                    "target": [LABELS[label] if i % 2 else None for i, label in enumerate(predicted)],
                    "image": [
                        picture(1000 * day + i, 0.4 if day == 3 else 1.0)
                        if i % 2
                        else f"https://pictures.invalid/{i}?a=<b>"
                        for i in range(events)
                    ],
                }
            )
        await monitor.publish({"features": [[np.nan] * drift_fixtures.WIDTH]}, timestamps=[MONDAY + 1.0])
        now[0] += 86_400
        await monitor.evaluate()
