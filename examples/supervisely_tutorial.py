"""Supervisely's tutorial on inference sessions, part by part, with an awaited session, on a model that this program serves itself.

    python examples/supervisely_tutorial.py
    SESSION_URL=http://host:8000 python examples/supervisely_tutorial.py        # a model that is served elsewhere
    SERVER_ADDRESS=https://… API_TOKEN=… TASK_ID=27001 python examples/supervisely_tutorial.py      # an app on the platform

With SERVER_ADDRESS, API_TOKEN and WORKSPACE_ID, part 6 uploads pictures and predictions to a project on the platform. Overlays and
JSON are written to the folder ``tutorial``. The model is a classifier of everyday things, or the one that MODEL names.
"""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import aiohooks as ah
from aiohooks import server
from aiohooks.demo.assets import CARPHONE_VIDEO, CHELSEA, COFFEE, ROCKET
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar

OUTPUT = Path("tutorial")
PICTURE_ID, VIDEO_ID = 17551748, 18635803


@asynccontextmanager
async def connected(pictures: Sequence[Path], video: Path) -> AsyncIterator[ah.Session]:
    """Part 1. Connect: by the id of a task on the platform, by URL, or to a server of our own."""
    if task_id := os.environ.get("TASK_ID"):
        async with ah.Session.of_task(int(task_id)) as session:
            yield session
    elif url := os.environ.get("SESSION_URL"):
        async with ah.Session(url) as session:
            yield session
    else:
        deployment = ah.Deployment.load(os.environ.get("MODEL") or await classifier())
        app = server.create_app(deployment, media={PICTURE_ID: pictures[0], VIDEO_ID: video})
        async with server.serve(app) as (host, port), ah.Session(f"http://{host}:{port}") as session:
            yield session


async def describe(session: ah.Session) -> None:
    """Part 2. Info, classes and settings of the model."""
    info = session.info
    print(
        f"{info.app_name} serves {info.model_name}: {info.task_type} on {info.device}, {info.number_of_classes} classes"
    )
    print("  classes:", ", ".join(label.name for label in session.labels[:4]), "…")
    print("  settings:", await session.default_settings())


async def change_settings(session: ah.Session, picture: Path) -> None:
    """Part 3. Settings: by keyword, from a mapping or a YAML file; or for one request."""
    name = next(name for name in await session.default_settings() if "conf" in name)
    await session.update_settings(**{name: 0.0})
    await session.set_settings({name: 0.0})
    prediction = await session.infer(picture, settings={name: 1.0})
    print(f"{picture.name} with {name} 1: {prediction}")


async def infer_pictures(session: ah.Session, pictures: Sequence[Path]) -> list[ah.Prediction]:
    """Part 4. Pictures: by path, as pixels, and many at once, in their order; by id where the server has one."""
    first = await session.infer(pictures[0])
    pixels = await anyio.to_thread.run_sync(read, pictures[0])
    assert (await session.infer(pixels)).label_names == first.label_names
    if session.info.app_name == "aiohooks":
        assert (await session.infer(PICTURE_ID)).label_names == first.label_names
    predictions = await session.infer_many(pictures)
    for picture, prediction in zip(pictures, predictions, strict=True):
        print(f"  {picture.name}: {prediction.top.name if prediction.top else 'nothing'}")
    return predictions


def read(picture: Path) -> NDArray[np.uint8]:
    return np.array(Image.open(picture).convert("RGB"))


def save(pictures: Sequence[Path], predictions: Sequence[ah.Prediction]) -> None:
    """Part 5. Draw them and save them, in Supervisely's form."""
    OUTPUT.mkdir(exist_ok=True)
    for picture, prediction in zip(pictures, predictions, strict=True):
        Image.fromarray(prediction.draw(read(picture))).save(OUTPUT / f"{picture.stem}.jpg")
        (OUTPUT / f"{picture.stem}.json").write_text(json.dumps(prediction.to_supervisely()))


async def upload(pictures: Sequence[Path], predictions: Sequence[ah.Prediction]) -> None:
    """Part 6. Upload them to a project, which is made if it is missing."""
    missing = [name for name in ("SERVER_ADDRESS", "API_TOKEN", "WORKSPACE_ID") if not os.environ.get(name)]
    if missing:
        print(f"no platform to upload to: set {', '.join(missing)}")
        return
    async with ah.SuperviselyPlatform() as platform:
        images = await platform.upload(
            zip(pictures, predictions, strict=True),
            workspace_id=int(os.environ["WORKSPACE_ID"]),
            project="aiohooks tutorial",
            dataset="pictures",
        )
        print(f"uploaded {len(images)} pictures to {platform.host}")


async def infer_video(session: ah.Session, video: Path) -> None:
    """Part 7. Frames of a video, while the server makes them; leaving the loop stops the work there."""
    began = perf_counter()
    async with session.infer_video(video, start=10, count=25, stride=2, progress=True) as results:
        print(f"{video.name}: {len(results)} frames")
        async for frame_index, prediction in results:
            if frame_index == 10:
                print(f"  the first after {perf_counter() - began:.2f} s: {prediction.label_names}")
    async with session.infer_video(video, start=100, direction="backward") as results:
        async for frame_index, prediction in results:
            if prediction.is_empty or frame_index == 90:
                print(f"  backwards to frame {frame_index} of {len(results)} and left")
                break


async def main() -> None:
    with progress_bar() as progress:
        *pictures, video = await fetch([CHELSEA, COFFEE, ROCKET, CARPHONE_VIDEO], progress=progress)
        if not os.environ.get("MODEL"):
            await classifier(progress)

    async with connected(pictures, video) as session:
        await describe(session)
        await change_settings(session, pictures[0])
        predictions = await infer_pictures(session, pictures)
        await anyio.to_thread.run_sync(save, pictures, predictions)
        await upload(pictures, predictions)
        await infer_video(session, video)


if __name__ == "__main__":
    anyio.run(main)
