"""The addresses of the protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from aiohttp import web
from numpy.typing import NDArray

import aiohooks
from aiohooks import sources
from aiohooks.deployment import Deployment, TensorModel
from aiohooks.errors import SpecError
from aiohooks.open_inference import (
    JSON_LENGTH_HEADER,
    InferAnswer,
    InferRequest,
    Tensor,
    read_request,
    write_answer,
)
from aiohooks.prediction.tensors import to_tensors
from aiohooks.server.answers import json_answer
from aiohooks.server.exchange import exchange_of
from aiohooks.server.long_work import in_thread_if, take_long
from aiohooks.server.open_inference import about
from aiohooks.server.open_inference.pictures import pictures_of
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Served, Serving

T = TypeVar("T")

TENSORS_SUFFIX = ".tensors"
"""Ends the name of the model whose inputs and outputs are a deployment's own."""

LARGE_BYTES = 64 * 1024
"""What is longer is read and written in a worker thread; this much takes about half a millisecond."""

COMPRESSED_BYTES = 4096
"""Shorter answers are not compressed."""


def routes(serving: Serving) -> Iterable[web.RouteDef]:
    """Return the addresses."""
    protocol = _OpenInference(serving)
    defined: list[web.RouteDef] = [
        web.get("/v2", protocol.server),
        web.post("/v2/repository/index", protocol.index),
        web.get("/v2/models/stats", protocol.all_statistics),
    ]
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        defined += [
            web.get(model, protocol.metadata),
            web.get(f"{model}/ready", protocol.ready),
            web.get(f"{model}/config", protocol.configuration),
            web.get(f"{model}/stats", protocol.statistics),
            web.post(f"{model}/infer", protocol.infer),
        ]
    return defined


class _OpenInference:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        # Reading JSON holds the interpreter and takes memory many times its size: one at a time.
        self._reader = anyio.CapacityLimiter(1)

    async def server(self, _: web.Request) -> web.Response:
        return json_answer({"name": "aiohooks", "version": aiohooks.__version__, "extensions": about.EXTENSIONS})

    async def index(self, _: web.Request) -> web.Response:
        models = [
            {"name": name, "version": about.VERSION, "state": "READY", "reason": ""}
            for served in self._serving
            for name in (served.name, *([served.name + TENSORS_SUFFIX] if _takes_tensors(served) else []))
        ]
        return json_answer(models)

    async def metadata(self, request: web.Request) -> web.Response:
        name, served, takes_tensors = self._find(request)
        return json_answer(about.metadata(name, served, *_tensors(served, takes_tensors)))

    async def configuration(self, request: web.Request) -> web.Response:
        name, served, takes_tensors = self._find(request)
        told = _tensors(served, takes_tensors)
        return json_answer(about.configuration(name, *told, optional=not takes_tensors))

    async def ready(self, request: web.Request) -> web.Response:
        name, served, _ = self._find(request)
        is_ready = served.deployment.is_open and not self._serving.draining.is_set()
        return json_answer({"name": name, "ready": is_ready}, status=200 if is_ready else 503)

    async def statistics(self, request: web.Request) -> web.Response:
        name, served, _ = self._find(request)
        return json_answer({"model_stats": [about.statistics(name, served)]})

    async def all_statistics(self, _: web.Request) -> web.Response:
        return json_answer({"model_stats": [about.statistics(served.name, served) for served in self._serving]})

    async def infer(self, request: web.Request) -> web.Response:
        name, served, takes_tensors = self._find(request)
        exchange = exchange_of(request)
        exchange.deployment = served.name
        served.admission.check(exchange.client)
        length = _json_length(request)
        body = await self._serving.bodies.read(request)
        if (len(body) if length is None else length) > self._serving.limits.json_bytes:
            raise Refusal(
                413,
                f"the JSON of an inference may have {self._serving.limits.json_bytes} bytes; send tensors as binary data instead",
            )
        async with self._serving.admit(served.name, exchange) as deployment:
            asked = await self._read(body, length)
            with _patience(asked):
                if takes_tensors:
                    arrays = await _infer_tensors(deployment, asked)
                else:
                    arrays = await self._infer_pictures(deployment, asked, len(body))
            return await _answer(name, asked, arrays)

    async def _read(self, body: bytes, length: int | None) -> InferRequest:
        # BYTES behind a short JSON are taken apart too.
        return await self._at_once_or_alone(partial(read_request, body, length), len(body))

    async def _at_once_or_alone(self, work: Callable[[], T], size: int) -> T:
        return work() if size <= LARGE_BYTES else await anyio.to_thread.run_sync(work, limiter=self._reader)

    async def _infer_pictures(
        self, deployment: Deployment, asked: InferRequest, size: int
    ) -> Mapping[str, NDArray[Any]]:
        limits = self._serving.limits
        pictures = await self._at_once_or_alone(partial(pictures_of, asked, limits), size)
        names = [wish.name for wish in asked.outputs]
        if len(pictures) == 1:
            frame = await sources.as_frame(pictures[0], name=asked.id[:200], max_pixels=limits.pixels)
            predictions = [await deployment.infer(frame)]
        else:
            source = sources.images(*pictures, max_pixels=limits.pixels, read_ahead=1)
            async with deployment.stream(source, max_in_flight=deployment.model.slots) as results:
                predictions = [result.prediction async for result in results]
        pixels = sum(height * width for height, width in (prediction.size for prediction in predictions))
        takes_all = asked.parameters.get("all_outputs") is True
        tell = partial(to_tensors, predictions, names, with_large=takes_all)
        is_long = (names or takes_all) and pixels > 16 * LARGE_BYTES
        return await in_thread_if(bool(is_long) or take_long(predictions), tell)

    def _find(self, request: web.Request) -> tuple[str, Served, bool]:
        """Return the name of the model that is asked for, the deployment behind it, and whether it takes tensors as they are."""
        name = request.match_info["model"]
        if request.match_info.get("version", about.VERSION) != about.VERSION:
            raise Refusal(404, f"there is only version {about.VERSION} of each model")
        bare = name.removesuffix(TENSORS_SUFFIX)
        if bare != name and name not in self._serving:
            served = self._serving.find(bare)
            if _takes_tensors(served):
                return name, served, True
            raise Refusal(404, f"{bare} is not a single model, so there are no tensors of it; ask {bare} itself")
        return name, self._serving.find(name), False


def _takes_tensors(served: Served) -> bool:
    return isinstance(served.deployment.model, TensorModel)


def _tensors(served: Served, takes_tensors: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return about.tensors_of_model(served) if takes_tensors else about.tensors_of_pictures(served)


async def _infer_tensors(deployment: Deployment, asked: InferRequest) -> Mapping[str, NDArray[Any]]:
    model = deployment.model
    assert isinstance(model, TensorModel)
    outputs = await model.infer_tensors({tensor.name: tensor.array for tensor in asked.inputs})
    names = [wish.name for wish in asked.outputs] or list(outputs)
    if unknown := [name for name in names if name not in outputs]:
        raise SpecError(f"there is no output {unknown[0][:40]!r}; there are: {', '.join(outputs)}")
    return {name: outputs[name] for name in names}


async def _answer(name: str, asked: InferRequest, arrays: Mapping[str, NDArray[Any]]) -> web.Response:
    outputs = tuple(Tensor(output, array) for output, array in arrays.items())
    binary = {output for output in arrays if asked.wants_binary(output)}
    write = partial(write_answer, InferAnswer(name, outputs, version=about.VERSION, id=asked.id), binary)
    # A number in JSON takes as long as some hundred bytes.
    size = sum(array.nbytes if output in binary else 100 * array.size for output, array in arrays.items())
    body, length = await in_thread_if(size > 16 * LARGE_BYTES, write)
    answer = web.Response(body=body, content_type="application/json" if length is None else "application/octet-stream")
    if length is not None:
        answer.headers[JSON_LENGTH_HEADER] = str(length)
    if len(body) > COMPRESSED_BYTES:
        answer.enable_compression()  # if the client takes that
    return answer


def _json_length(request: web.Request) -> int | None:
    text = request.headers.get(JSON_LENGTH_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise Refusal(400, f"{JSON_LENGTH_HEADER}: expected a number of bytes")
    return int(text)


@contextmanager
def _patience(asked: InferRequest) -> Iterator[None]:
    """Hold the work to the time that a request gives it: Triton's parameter ``timeout``, in microseconds."""
    timeout = asked.parameters.get("timeout")
    if timeout is None or timeout == 0:
        yield
        return
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0:
        raise Refusal(400, "timeout: expected a number of microseconds")
    with anyio.move_on_after(timeout / 1e6) as patience:
        yield
    if patience.cancelled_caught:
        raise Refusal(504, f"there was no answer within {timeout} µs", retry_after=1)
