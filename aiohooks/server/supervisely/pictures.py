"""Pictures that are inferred while the client waits for the answer."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import partial
from typing import Any

import anyio
import msgspec
from aiohttp import web

from aiohooks import sources
from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.server.answers import json_answer
from aiohooks.server.exchange import exchange_of
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Served
from aiohooks.server.supervisely.context import Context, Method, client_of
from aiohooks.server.supervisely.media import Medium
from aiohooks.server.supervisely.results import encoded
from aiohooks.server.supervisely.settings import Settings, read_settings
from aiohooks.server.supervisely.state import State, first_of, identities, identity
from aiohooks.server.supervisely.uploads import Picture, read_pictures

NAMES_OF_ID = ("image_id", "imageId")
NAMES_OF_IDS = ("images_ids", "batch_ids", "image_ids", "imagesIds")


def methods(context: Context) -> Mapping[str, Method]:
    """Return the answers by their names."""

    async def image(request: web.Request, served: Served) -> web.Response:
        served.admission.check(client_of(request))  # before its body is read
        pictures, state = await read_pictures(context.serving, request)
        if len(pictures) != 1:
            raise Refusal(400, f"expected one file, got {len(pictures)}; inference_batch takes several")
        return await one(request, served, state, nullcontext(pictures[0]), {})

    async def image_url(request: web.Request, served: Served) -> web.Response:
        served.admission.check(client_of(request))
        state = await context.state(request)
        url, bodies = first_of(state, "image_url"), context.serving.bodies

        @asynccontextmanager
        async def fetched() -> AsyncIterator[Picture]:
            most = context.serving.limits.body_bytes
            yield Picture("image_url", await context.fetcher.fetch(url, most=most, take=partial(bodies.take, request)))

        return await one(request, served, state, fetched(), {})

    async def image_id(request: web.Request, served: Served) -> web.Response:
        served.admission.check(client_of(request))
        state = await context.state(request)
        refuse_uploads(state)
        medium = await context.media.picture(identity(state, *NAMES_OF_ID))
        return await one(request, served, state, picture_of(medium, context.serving.bodies.hold), about(medium))

    async def batch(request: web.Request, served: Served) -> web.Response:
        served.admission.check(client_of(request))
        pictures, state = await read_pictures(context.serving, request)
        return await several(request, served, state, pictures, [{} for _ in pictures])

    async def batch_ids(request: web.Request, served: Served) -> web.Response:
        served.admission.check(client_of(request))
        state = await context.state(request)
        refuse_uploads(state)
        wanted = identities(state, *NAMES_OF_IDS, most=context.serving.limits.frames)
        media = [await context.media.picture(each) for each in wanted]
        return await several(request, served, state, media, list(map(about, media)))

    async def one(
        request: web.Request,
        served: Served,
        state: State,
        reading: AbstractAsyncContextManager[Picture],
        about_it: Mapping[str, Any],
    ) -> web.Response:
        settings = read_settings(state, served.deployment.labels)
        async with context.serving.admit(served.name, exchange_of(request)) as deployment:
            async with reading as picture:  # not before there is a place for it
                frame = await frame_of(picture, context.max_pixels(served))
            prediction = await deployment.infer(frame)
            body = await encoded(prediction, settings, about_it)
        return web.Response(body=body, content_type="application/json")

    async def several(
        request: web.Request,
        served: Served,
        state: State,
        pictures: Sequence[Picture | Medium],
        about_them: Sequence[Mapping[str, Any]],
    ) -> web.Response:
        settings: Settings = read_settings(state, served.deployment.labels)
        answers: list[msgspec.Raw] = []
        async with context.serving.admit(served.name, exchange_of(request)) as deployment:
            frames = frames_of(pictures, context.max_pixels(served), context.serving.bodies.hold)
            async with deployment.stream(frames) as results:
                async for result in results:
                    about_it = about_them[result.index]
                    answers.append(msgspec.Raw(await encoded(result.prediction, settings, about_it)))
        return json_answer(answers)

    return {
        "inference_image": image,
        "inference_image_url": image_url,
        "inference_image_id": image_id,
        "inference_batch": batch,
        "inference_batch_ids": batch_ids,
    }


def about(medium: Medium) -> dict[str, Any]:
    """Return what an answer says about a picture of the server."""
    return {"image_id": medium.id, "image_name": medium.name, "name": medium.name}


Hold = Callable[[int], AbstractContextManager[object]]
"""Counts bytes that are held in a block, and may refuse them."""


@asynccontextmanager
async def picture_of(medium: Medium, hold: Hold) -> AsyncIterator[Picture]:
    """Read a picture of the server, whose encoded bytes are counted in the block.

    Raises:
        FrameError: it cannot be read; the message does not say where it is.
    """
    path = anyio.Path(medium.path)
    with _naming(medium):
        size = (await path.stat()).st_size
    with hold(size):
        with _naming(medium):
            content = await path.read_bytes()
        yield Picture(medium.name, content)


@contextmanager
def _naming(medium: Medium) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FrameError(f"{medium.name}: cannot be read: {error.strerror}") from error


async def frame_of(picture: Picture, max_pixels: int) -> Frame:
    """Decode a picture.

    Raises:
        FrameError: it is none, or has more pixels.
    """
    return await sources.as_frame(picture.content, name=picture.name, max_pixels=max_pixels)


async def frames_of(pictures: Sequence[Picture | Medium], max_pixels: int, hold: Hold) -> AsyncIterator[Frame]:
    """Yield pictures one after the other, decoded; those of the server are read when it is their turn.

    Raises:
        FrameError: one is none; which one, is said.
    """
    for index, picture in enumerate(pictures):
        try:
            async with nullcontext(picture) if isinstance(picture, Picture) else picture_of(picture, hold) as read:
                frame = await frame_of(read, max_pixels)
        except FrameError as error:
            raise FrameError(f"picture {index}: {error}") from error
        yield frame


def refuse_uploads(state: State) -> None:
    """Refuse what only an app on the platform can do.

    Raises:
        Refusal: 400, the results are to be uploaded by the server.
    """
    for name in ("upload", "output_project_id", "upload_mode"):
        if state.get(name) not in (None, False):
            raise Refusal(400, f"{name}: this server does not upload results to a project; its client can")
