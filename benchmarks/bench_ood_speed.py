"""What it costs to ask of every frame whether it is out of distribution: an OODTrigger, or an attached model, against neither.

EfficientNet-Lite0, with its 1,280 features and 1,000 classes. OOD models are fitted on features drawn around those of real pictures: for the cost only
their number counts. Figures of a single call, without a deployment, are in the notes.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Literal

import alternation
import anyio.to_thread
import cv2
import models
import numpy as np
import options
import tables
from numpy.typing import NDArray
from tables import Row

from aiohooks import Deployment, Frame, HookEvent, OODModel, OODTrigger, PostInferenceHook
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import load_model

NEITHER = "neither"
BANKS: tuple[int | Literal["auto"], ...] = ("auto", 2_000, 10_000)
TARGET = 1 / 0.97
"""Of its throughput, inference with an OODTrigger on every frame is to keep 0.97."""


async def main() -> None:
    given = options.parse(__doc__)
    lite0 = (await models.real())[0]
    frames = [Frame(cv2.resize(picture, models.VGA[::-1]), owned=True) for picture in lite0.frames]
    loaded = await anyio.to_thread.run_sync(lambda: load_model(lite0.source, **lite0.options))
    layer = await anyio.to_thread.run_sync(loaded.last_layer) if loaded.last_layer is not None else None
    plain = Deployment(lite0.name, partial(anyio.to_thread.run_sync, Model, loaded))
    async with plain:
        predictions = [await plain.infer(frame) for frame in frames]
    centres = np.array([prediction.feature_vector for prediction in predictions])
    rows: list[Row] = []
    notes: list[str] = []
    for bank in BANKS[:1] if given.quick else BANKS:
        pictures = 2_000 if bank == "auto" else bank
        features = drawn(centres, pictures + 2_000)
        ood = await anyio.to_thread.run_sync(
            partial(
                OODModel.fit_arrays,
                features[:pictures],
                calibration=features[pictures:],
                last_layer=layer,
                max_bank=bank,
            )
        )
        name = bank if bank == "auto" else f"{bank:,}"
        notes.append(
            f"bank of {name} × {ood.width:,}: {one_call(ood, predictions[0]):.0f} µs a frame, {ood.nbytes / 2**20:.1f} MiB"
        )
        for what in ("OODTrigger", "attached"):
            rows.append(await measure(f"{what}, {name}", what, ood, loaded, frames, given))
    tables.show("scored ↔ not scored", rows)
    print("", *notes, sep="\n")
    tables.save("ood_speed", given.json, [*rows, {"notes": notes}])


def drawn(centres: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Features around some of real pictures: not negative, as behind a ReLU6, and with fewer directions than numbers."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((128, centres.shape[1])).astype(np.float32) / 12
    moved = centres[np.arange(count) % len(centres)] + rng.standard_normal((count, 128), np.float32) @ directions * 0.2
    return np.clip(moved + rng.standard_normal(moved.shape, np.float32) * 0.02, 0, 6)


def one_call(ood: OODModel, prediction: Any, rounds: int = 300) -> float:
    """Return what scoring one prediction takes, in microseconds, median."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        ood.score(*ood.evidence(prediction))
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e6


async def measure(name: str, what: str, ood: OODModel, loaded: Any, frames: list[Frame], given: options.Options) -> Row:
    async def nothing(_event: HookEvent) -> None:
        pass

    async with AsyncExitStack() as open_ones:
        plain, scored = [
            await open_ones.enter_async_context(
                Deployment("EfficientNet-Lite0", partial(anyio.to_thread.run_sync, Model, loaded))
            )
            for _ in range(2)
        ]
        if what == "attached":
            scored.attach(ood)
        else:
            scored.add_hook(PostInferenceHook(trigger=OODTrigger(ood, false_alarm_rate=0.01), action=nothing))
        contenders = {NEITHER: streamed(plain, frames), name: streamed(scored, frames)}
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=2 * given.seconds, least=32)
    description = loaded.description
    names = {"model": "EfficientNet-Lite0", "hint": description.performance_hint, "slots": loaded.requests}
    return tables.compare(taken, ours=name, other=NEITHER, what=name, target=TARGET, **names)


def streamed(deployment: Deployment, frames: list[Frame]) -> alternation.Burst:
    async def burst(count: int) -> None:
        async for _ in deployment.stream([frames[index % len(frames)] for index in range(count)]):
            pass
        await deployment.drained()

    return burst


if __name__ == "__main__":
    asyncio.run(main())
