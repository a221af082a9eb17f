"""What is inferred while its client asks for the results."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web

from aiohooks.deployment import Deployment
from aiohooks.server.answers import encode, json_answer
from aiohooks.server.exchange import exchange_of
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Served
from aiohooks.server.supervisely.context import Context, Method
from aiohooks.server.supervisely.frame_range import read_wanted
from aiohooks.server.supervisely.media import Medium
from aiohooks.server.supervisely.pictures import (
    NAMES_OF_ID,
    NAMES_OF_IDS,
    about,
    frames_of,
    refuse_uploads,
)
from aiohooks.server.supervisely.results import encoded
from aiohooks.server.supervisely.settings import Settings, read_settings
from aiohooks.server.supervisely.state import State, identities, identity
from aiohooks.server.supervisely.uploads import save_files
from aiohooks.server.supervisely.videos import VideoToInfer, open_video
from aiohooks.server.supervisely.work import JobAtWork
from aiohooks.server.uploads import Upload

MAX_IDS = 100_000
"""Pictures in one job by their ids."""

MAX_FILES = 10_000
"""Pictures in one job that are uploaded; the limit of parts in a form may be lower."""

NAMES_OF_VIDEO = ("videoId", "video_id")

Inference = Callable[[Deployment, JobAtWork], Awaitable[None]]
"""What a job infers, with which deployment."""

Prepare = Callable[[JobAtWork, Path, Upload], Awaitable[Inference]]
"""Reads a request, with a folder for its files, and returns what to do."""


def methods(context: Context) -> Mapping[str, Method]:
    """Return the answers by their names."""

    async def batch_async(request: web.Request, served: Served) -> web.Response:
        async def prepare(at_work: JobAtWork, folder: Path, upload: Upload) -> Inference:
            limit = min(MAX_FILES, context.serving.limits.fields)
            files, state = await save_files(context.serving, request, folder, at_work.job, upload, most=limit)
            media = [Medium(0, name, path, is_video=False) for name, path in files]
            return pictures(served, state, at_work, media, [{} for _ in media])

        return await start(request, served, prepare)

    async def batch_ids_async(request: web.Request, served: Served) -> web.Response:
        state = await context.state(request)
        return await by_ids(request, served, state, identities(state, *NAMES_OF_IDS, most=MAX_IDS))

    async def image_id_async(request: web.Request, served: Served) -> web.Response:
        state = await context.state(request)
        return await by_ids(request, served, state, [identity(state, *NAMES_OF_ID)])

    async def by_ids(request: web.Request, served: Served, state: State, wanted: list[int]) -> web.Response:
        refuse_uploads(state)

        async def prepare(at_work: JobAtWork, _: Path, __: Upload) -> Inference:
            media = [await context.media.picture(each) for each in wanted]
            return pictures(served, state, at_work, media, list(map(about, media)))

        return await start(request, served, prepare)

    async def video_async(request: web.Request, served: Served) -> web.Response:
        async def prepare(at_work: JobAtWork, folder: Path, upload: Upload) -> Inference:
            files, state = await save_files(context.serving, request, folder, at_work.job, upload, most=1)
            return await video(served, state, at_work, *files[0], {})

        return await start(request, served, prepare)

    async def video_id_async(request: web.Request, served: Served) -> web.Response:
        state = await context.state(request)

        async def prepare(at_work: JobAtWork, _: Path, __: Upload) -> Inference:
            medium = await context.media.video(identity(state, *NAMES_OF_VIDEO))
            return await video(served, state, at_work, medium.name, medium.path, {"video_id": medium.id})

        return await start(request, served, prepare)

    async def video_id(request: web.Request, served: Served) -> web.Response:
        state = await context.state(request)
        async with context.serving.admit_stream(served.name, exchange_of(request)) as deployment:
            medium = await context.media.video(identity(state, *NAMES_OF_VIDEO))
            settings, opened = await opening(served, state, medium.name, medium.path)
            found: list[msgspec.Raw] = []

            async def take(result: bytes) -> None:  # noqa: ASYNC124  # a job waits for room here
                context.serving.bodies.take(request, len(result))  # all of it is one answer
                found.append(msgspec.Raw(result))

            await opened.infer(deployment, settings, {"video_id": medium.id}, take)
        return web.Response(body=encode({"ann": found}), content_type="application/json")

    async def video(
        served: Served, state: State, at_work: JobAtWork, name: str, path: Path, about_it: Mapping[str, Any]
    ) -> Inference:
        settings, opened = await opening(served, state, name, path)
        at_work.job.begin(opened.total)

        async def infer(deployment: Deployment, at_work: JobAtWork) -> None:
            await opened.infer(deployment, settings, about_it, at_work.add)

        return infer

    async def opening(served: Served, state: State, name: str, path: Path) -> tuple[Settings, VideoToInfer]:
        if state.get("tracker") is not None:
            raise Refusal(400, "tracker: this server does not track objects; leave it out")
        settings = read_settings(state, served.deployment.labels)
        wanted = read_wanted(state)
        return settings, await open_video(name, path, wanted, max_pixels=context.max_pixels(served))

    def pictures(
        served: Served, state: State, at_work: JobAtWork, media: list[Medium], about_them: list[dict[str, Any]]
    ) -> Inference:
        settings = read_settings(state, served.deployment.labels)
        at_work.job.begin(len(media))

        async def infer(deployment: Deployment, at_work: JobAtWork) -> None:
            hold = partial(context.serving.bodies.hold, must_fit=False)  # a moment without memory ends no job
            async with deployment.stream(frames_of(media, context.max_pixels(served), hold)) as results:
                async for result in results:
                    await at_work.add(await encoded(result.prediction, settings, about_them[result.index]))

        return infer

    async def start(request: web.Request, served: Served, prepare: Prepare) -> web.Response:
        async with AsyncExitStack() as held:
            deployment = await held.enter_async_context(context.serving.admit_job(served.name, exchange_of(request)))
            upload = held.enter_context(context.serving.uploads.begin())
            folder = await held.enter_async_context(_scratch_folder())
            at_work = context.jobs.create()
            try:
                infer = await prepare(at_work, folder, upload)
            except BaseException:
                context.jobs.forget(at_work)
                raise
            kept = held.pop_all()

            async def work(at_work: JobAtWork) -> None:
                async with kept:
                    await infer(deployment, at_work)

            context.jobs.start(at_work, work)
        message = "Inference has started."
        return json_answer({"message": message, "inference_request_uuid": at_work.job.identity})

    return {
        "inference_batch_async": batch_async,
        "inference_batch_ids_async": batch_ids_async,
        "inference_image_id_async": image_id_async,
        "inference_video_async": video_async,
        "inference_video_id_async": video_id_async,
        "inference_video_id": video_id,
    }


@asynccontextmanager
async def _scratch_folder() -> AsyncIterator[Path]:
    """Give a folder that is gone afterwards."""
    folder = await anyio.to_thread.run_sync(lambda: TemporaryDirectory(prefix="aiohooks-job-"))
    try:
        yield Path(folder.name)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(folder.cleanup)
