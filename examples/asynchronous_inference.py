"""Infer pictures one after the other, all at once, and as a stream, and see what each costs; then label a video.

    python examples/asynchronous_inference.py            # a person in a car
    python examples/asynchronous_inference.py my.mp4     # your video

The video with the predictions drawn on it is written to ``annotated.mp4``, its frames in order.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import anyio
import anyio.to_thread
import cv2

import aiohooks as ah
from aiohooks.demo.assets import CARPHONE_VIDEO, PICTURES
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar


async def one_after_the_other(deployment: ah.Deployment, pictures: Sequence[Path]) -> None:
    for picture in pictures:
        await deployment.infer(picture)


async def all_at_once(deployment: ah.Deployment, pictures: Sequence[Path]) -> None:
    # A deployment may be used by any number of tasks: the model runs as many inferences as it has slots, others wait.
    async with anyio.create_task_group() as tasks:
        for picture in pictures:
            tasks.start_soon(deployment.infer, picture)


async def as_a_stream(deployment: ah.Deployment, pictures: Sequence[Path]) -> None:
    # The next pictures are read and inferred meanwhile, but only a few are in memory, however many there are.
    async with deployment.stream(pictures) as results:
        async for result in results:
            if not result.ok:
                print(result.error)


async def label_video(deployment: ah.Deployment, path: Path, output: Path) -> int:
    """Write a copy of a video with the predictions drawn on it, and return its number of frames."""
    frames_per_second = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
    writer = cv2.VideoWriter()

    def write(result: ah.Result) -> None:
        frame, codec = result.frame, cv2.VideoWriter.fourcc(*"mp4v")
        overlay = result.prediction.draw(frame)  # `prediction` raises what went wrong with this frame, if anything did
        if not writer.isOpened() and not writer.open(
            str(output), codec, frames_per_second, (frame.width, frame.height)
        ):
            raise OSError(f"{output} cannot be written")
        writer.write(cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))

    count = 0
    async with deployment.stream(ah.video(path)) as results:
        async for result in results:
            # Drawing and encoding take some milliseconds: too long for the event loop.
            await anyio.to_thread.run_sync(write, result)
            count += 1
    writer.release()
    return count


async def main(path: str | None) -> None:
    with progress_bar() as progress:
        model = await classifier(progress)
        pictures = 4 * await fetch(PICTURES, progress=progress)
        (video,) = [Path(path)] if path else await fetch([CARPHONE_VIDEO], progress=progress)

    async with ah.Deployment.load(model) as deployment:
        await deployment.infer(pictures[0])  # the first inference takes longer
        for way in (one_after_the_other, all_at_once, as_a_stream):
            started = perf_counter()
            await way(deployment, pictures)
            seconds = perf_counter() - started
            name = way.__name__.replace("_", " ")
            print(f"{len(pictures)} pictures {name}: {seconds:.2f} s, {len(pictures) / seconds:.0f} a second")

        started = perf_counter()
        output = Path("annotated.mp4")
        count = await label_video(deployment, video, output)
        print(f"{count} frames of {video.name} labelled in {output}: {perf_counter() - started:.2f} s")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
