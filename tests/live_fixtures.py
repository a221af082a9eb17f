"""Two deployments under load, with all that the live page shows: hooks, a spool with dead letters, OOD scores, drift."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import served
import tiny_models

import aiohooks as ah

NAME = "to the <b>cloud</b>"


@asynccontextmanager
async def under_load(folder: Path, *, pause: float = 0.01, **options: Any) -> AsyncIterator[served.Server]:
    parts = ah.Deployment.load(tiny_models.save(tiny_models.detector(), folder / "parts.xml"))
    colours = ah.Deployment.load(tiny_models.save(tiny_models.classifier(xai=True), folder / "colours.xml"))
    parts.add_hook(
        ah.PostInferenceHook(
            name="unsure",
            trigger=ah.LabelTrigger(["red"]) & ah.ConfidenceTrigger(0.95),
            action=ah.FileSystemDataCollection(folder / "kept"),
            rate=ah.Rate(4),
        )
    )
    colours.add_hook(
        ah.PostInferenceHook(
            name=NAME,
            trigger=ah.LabelTrigger(["green"]),
            action=fails,
            rate=ah.Rate(1),
            delivery=ah.Spool(str(folder / "spool")),
        )
    )
    async with colours, parts:
        features = await features_of(colours)
        colours.attach(ah.OODModel.fit_arrays(features))
        baseline = ah.DriftBaseline.fit_arrays(features, windows=200, random_features=32)
        async with ah.DriftMonitor(baseline, folder / "drift.db", name="week", actions=[]) as monitor:
            moved = features[-200:] + 0.05 * features.std()
            hours = np.arange(200) // 20
            await monitor.publish({"features": [*moved], "timestamp": [*(1_791_763_200.0 + 3600 * hours)]})
            await monitor.flush()
            colours.attach(monitor)
            async with served.serving(parts, colours, **options) as server, anyio.create_task_group() as tasks:
                for number, deployment in enumerate((parts, colours)):
                    tasks.start_soon(work, deployment, number, pause)
                yield server
                tasks.cancel_scope.cancel()


async def features_of(deployment: ah.Deployment) -> Any:
    results = await deployment.infer_many([scene(number, number) for number in range(400)])
    return np.array([result.prediction.feature_vector for result in results])


async def work(deployment: ah.Deployment, seed: int, pause: float) -> None:
    index = 0
    while True:
        await deployment.infer(ah.Frame(scene(index, seed), name=f"camera {seed} / {index}"))
        index += 1
        await anyio.sleep(pause)


def scene(index: int, seed: int) -> Any:
    image = np.random.default_rng(seed + index).integers(0, 40, (120, 160, 3), np.uint8)
    x = 5 + index * 3 % 110
    image[30:80, x : x + 40, index // 20 % 3] = 200
    return image


async def fails(event: ah.HookEvent) -> None:
    raise ValueError("the sink is <b>down</b>")
