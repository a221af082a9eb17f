"""The addresses of the protocol."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec
from aiohttp import WSCloseCode, web

from aiohooks import sources
from aiohooks.errors import AiohooksError
from aiohooks.inference.result import Result
from aiohooks.inference.stream import Stream
from aiohooks.server.answers import encode, json_answer
from aiohooks.server.exchange import exchange_of
from aiohooks.server.long_work import in_thread_if, take_long
from aiohooks.server.native.frame_range import frame_range
from aiohooks.server.native.result_json import Form, form_of, prediction_json, result_json
from aiohooks.server.native.uploaded import FormFrames, LiveFrames, decoded, name_of
from aiohooks.server.refusal import Refusal, refusal_of
from aiohooks.server.serving import Served, Serving
from aiohooks.server.uploads import kept_on_disk

logger = logging.getLogger("aiohooks.server")

NDJSON = "application/x-ndjson"
HEARTBEAT_SECONDS = 30.0


def routes(serving: Serving) -> Iterable[web.RouteDef]:
    """Return the addresses."""
    protocol = _Native(serving)
    one = "/deployments/{name}"
    return [
        web.get("/deployments", protocol.list_all),
        web.get(one, protocol.describe),
        web.post(f"{one}/infer", protocol.infer),
        web.post(f"{one}/stream", protocol.stream),
        web.get(f"{one}/live", protocol.live),
    ]


class _Native:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def list_all(self, _: web.Request) -> web.Response:
        return json_answer([_about(served) for served in self._serving])

    async def describe(self, request: web.Request) -> web.Response:
        return json_answer(_about(self._serving.find(request.match_info["name"])))

    async def infer(self, request: web.Request) -> web.Response:
        """Answer one picture, which is the body, with its prediction."""
        serving, exchange = self._serving, exchange_of(request)
        form = form_of(request.query)
        served = serving.find(request.match_info["name"])
        exchange.deployment = served.name
        served.admission.check(exchange.client)
        data = await serving.bodies.read(request)
        async with served.admit(client=exchange.client, deadline=exchange.deadline) as deployment:
            frame = await decoded(data, 0, name_of(request.query.get("name")), serving.limits.pixels)
            prediction = await deployment.infer(frame)
            body = await in_thread_if(take_long([prediction]), lambda: encode(prediction_json(prediction, form)))
            return web.Response(body=body, content_type="application/json")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer the pictures of a form, or the frames of a video, with a line of JSON each, as they are ready."""
        serving = self._serving
        form = form_of(request.query)
        async with serving.admit_stream(request.match_info["name"], exchange_of(request)) as deployment:
            if request.content_type.startswith("video/"):
                wanted = frame_range(request.query)
                with serving.uploads.begin() as upload:
                    async with kept_on_disk(serving.bodies.chunks_of(request, upload.arrival), upload) as path:
                        frames = sources.video(path, max_pixels=serving.limits.pixels, **wanted)
                        return await write_results(request, deployment.stream(frames), form, serving)
            pictures = FormFrames(request, serving)
            return await write_results(request, deployment.stream(pictures), form, serving, after_each=pictures.let_go)

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        """Answer each binary message, a picture, with a text message: its result; in order."""
        serving = self._serving
        form = form_of(request.query)
        async with serving.admit_stream(request.match_info["name"], exchange_of(request)) as deployment:
            # If a client closes it, aiohttp would cut the connection before the last results have been sent.
            socket = web.WebSocketResponse(
                autoclose=False, heartbeat=HEARTBEAT_SECONDS, compress=False, max_msg_size=serving.limits.message_bytes
            )
            try:
                await socket.prepare(request)
            except ValueError as error:  # of a key that is not ASCII
                raise Refusal(400, "the headers of the WebSocket are malformed") from error
            frames = LiveFrames(socket, serving.limits)

            async def send(told: bytes) -> None:
                with _leaving_who_takes_nothing(request, serving):
                    await socket.send_str(told.decode())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end_when_draining, frames)
                await _send_results(deployment.stream(frames), form, send)
                tasks.cancel_scope.cancel()
            with _leaving_who_takes_nothing(request, serving):
                await socket.close(code=WSCloseCode.GOING_AWAY if serving.draining.is_set() else WSCloseCode.OK)
            return socket

    async def _end_when_draining(self, frames: LiveFrames) -> None:
        await self._serving.draining.wait()
        frames.end()


async def write_results(
    request: web.Request,
    results: Stream,
    form: Form,
    serving: Serving,
    *,
    after_each: Callable[[], object] = lambda: None,
) -> web.StreamResponse:
    """Answer a request with the results of a stream, a line of JSON each, written as they are ready.

    The last line is ``{"end": true, "frames": …, "failed": …}``; an answer without it is not whole. An error that ends the stream is a
    line ``{"error": …}`` before it; if it comes before any result, it is raised.

    Args:
        request: what is answered.
        results: of the frames.
        form: of the predictions.
        serving: whose limits hold: a client that takes nothing for as long as a body may take to arrive is left.
        after_each: called when a result has been written.
    """
    answer = web.StreamResponse(
        headers={"Content-Type": NDJSON, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )

    async def send(told: bytes) -> None:
        with _leaving_who_takes_nothing(request, serving):
            if not answer.prepared:
                await answer.prepare(request)
            await answer.write(told + b"\n")

    await _send_results(results, form, send, after_each, raises_first=True)
    return answer


@contextmanager
def _leaving_who_takes_nothing(request: web.Request, serving: Serving) -> Iterator[None]:
    """Cut the connection of a client to which the block cannot send for as long as a body may take to arrive."""
    try:
        with anyio.fail_after(serving.limits.body_seconds):
            yield
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client takes no results") from None


async def _send_results(
    results: Stream,
    form: Form,
    send: Callable[[bytes], Awaitable[None]],
    after_each: Callable[[], object] = lambda: None,
    *,
    raises_first: bool = False,
) -> None:
    frames = failed = 0
    try:
        async with results:
            async for result in results:
                frames += 1
                failed += not result.ok
                await send(await _told(result, form))
                after_each()
    except OSError:
        raise  # the client has left
    except Exception as error:
        if not frames and raises_first:
            raise
        if not isinstance(error, AiohooksError):
            logger.exception("a stream of results failed")
        await send(encode({"error": str(refusal_of(error))}))
        failed += 1
    await send(encode({"end": True, "frames": frames, "failed": failed}))


async def _told(result: Result, form: Form) -> bytes:
    is_long = result.ok and take_long([result.prediction])
    return await in_thread_if(is_long, lambda: encode(result_json(result, form)))


def _about(served: Served) -> dict[str, Any]:
    deployment = served.deployment
    about = deployment.describe()
    return {
        "name": served.name,
        "task": about.task,
        "labels": msgspec.to_builtins(deployment.labels),
        "model": msgspec.to_builtins(about, enc_hook=str),
        "hooks": [hook.name for hook in deployment.hooks],
    }
