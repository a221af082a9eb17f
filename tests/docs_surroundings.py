"""What the pages of the documentation name: files in a folder, variables, and servers on loopback in place of the real ones."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import cv2
import fake_geti
import fake_supervisely
import geti_project
import numpy as np
import ood_fixtures
import pytest
import served
import sources_fixtures
import tiny_formats
import tiny_models
from nats_server import NatsServer

import aiohooks as ah
from aiohooks.delivery.item import Item
from aiohooks.monitors.drift import EventColumns


@dataclass
class Surroundings:
    """What a page needs.

    Attributes:
        names: variables that its blocks take for granted.
        instead: parts of its text, such as addresses, and what stands in their place in the test.
    """

    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page", "ah": ah})
    instead: dict[str, str] = field(default_factory=dict)


def fill(folder: Path) -> Path:
    """Write the files that pages name."""
    tiny_models.save(ood_fixtures.model(), folder / "model.xml")
    tiny_models.save(tiny_models.detector(), folder / "detector.xml")
    tiny_formats.onnx_classifier(folder / "bare.onnx", {})
    for name, count in (("train", 240), ("held_out", 150), ("archive", 20), ("incoming", 3), ("scenes", 120)):
        ood_fixtures.write(folder / name, ood_fixtures.normal(count, seed=count))
    (folder / "incoming/000.png").rename(folder / "incoming/1.png")
    ood_fixtures.write(folder / "pictures", ood_fixtures.normal(3))
    cv2.imwrite(str(folder / "dog.jpg"), np.ascontiguousarray(ood_fixtures.normal(1)[0]))
    sources_fixtures.write_video(folder / "in.mp4", 210)
    geti_project.write(folder / "deployments/animals", geti_project.Task("Classification", tiny_models.classifier()))
    return folder


def normal_pictures(count: int, seed: int = 0) -> list[tuple[bytes, str]]:
    """Return pictures as PNG, each with its label in Geti."""
    colours = ("red", "green", "blue")
    pictures = ood_fixtures.normal(count, seed)
    return [(sources_fixtures.encode(pixels, "PNG"), colours[i % 3]) for i, pixels in enumerate(pictures)]


def fit_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = functools.partial(ah.DriftBaseline.fit, windows=200, components=8, random_features=16)
    monkeypatch.setattr(ah.DriftBaseline, "fit", fit)


@asynccontextmanager
async def of(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Surroundings]:
    """Set up what a page needs beside the files in ``folder``."""
    around = Surroundings()
    match page:
        case "ood.md":
            rng = np.random.default_rng(0)
            counts = {"features": 300, "held_out_features": 150, "other_features": 300}
            around.names |= {name: rng.normal(size=(count, 16)) for name, count in counts.items()}
            head = rng.normal(size=(16, 3))
            around.names |= {name.replace("features", "logits"): around.names[name] @ head for name in counts}
            async with fake_geti.serving() as geti:
                geti.fill("colours", {"Dataset": normal_pictures(90), "held out": normal_pictures(60, 1)})
                monkeypatch.setenv("GETI_HOST", geti.url)
                monkeypatch.setenv("GETI_TOKEN", fake_geti.TOKEN)
                yield around
            return
        case "drift.md" | "drift_at_work.md":
            fit_quickly(monkeypatch)
            rng = np.random.default_rng(0)
            around.names |= {"EventColumns": EventColumns, "embeddings": rng.normal(size=(100, ood_fixtures.WIDTH))}
            around.names |= {
                "milliseconds": [1_794_000_000_000 + 1_000 * i for i in range(100)],
                "ids": [f"a{i}" for i in range(100)],
            }
        case "infer_and_stream.md":
            around.names["pixels"] = ood_fixtures.normal(1)[0]
        case "from_geti_sdk.md":
            around.names["image"] = ood_fixtures.normal(1)[0]
        case "serving.md":
            monkeypatch.setenv("TOKEN", "of the test")
            around.instead["8000"] = "0"
            around.names["forever"] = asyncio.get_running_loop().create_future()
            around.names["forever"].set_result(None)
            rng = np.random.default_rng(0)
            features = rng.normal(size=(400, ood_fixtures.WIDTH))
            ah.OODModel.fit_arrays(features).save(folder / "model.ood")
            around.names["rules"] = [ah.DriftRule(name="hours", critical_rate=0.001)]
            around.names["baseline"] = ah.DriftBaseline.fit_arrays(
                features, rng.dirichlet(np.ones(3), 400), windows=200, components=8, random_features=16
            )
        case "spool.md":
            around.names["item"] = Item.new(b"payload", source="camera 3")
        case "more_than_one_machine.md":
            around.names["payload"] = b"payload"
            monkeypatch.setenv("NATS_LOGIN", "a:b")
            server = NatsServer(folder, 'authorization { user: "a", password: "b" }')
            await anyio.to_thread.run_sync(server.start)
            around.instead |= {"nats://spool.example:4222": server.url, "10 * 1024**3": "1024**2"}
            try:
                yield around
            finally:
                await anyio.to_thread.run_sync(server.__exit__)
            return
        case "supervisely.md":
            paths = sorted((folder / "pictures").iterdir())
            async with served.serving(folder / "model.xml") as server, fake_supervisely.serving() as platform:
                monkeypatch.setenv("SERVER_ADDRESS", platform.url)
                monkeypatch.setenv("API_TOKEN", fake_supervisely.TOKEN)
                around.names |= {"paths": paths}
                around.instead["http://host:8000"] = server.url
                yield around
            return
    yield around
