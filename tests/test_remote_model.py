"""Deployments whose inferences run on another server, by the Open Inference Protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest
import served
import tiny_models
from aiohttp import web
from numpy.typing import NDArray
from test_server_open_inference import KINDS, PICTURES, same

import aiohooks as ah
import aiohooks.server
from aiohooks.errors import InferenceError, InferQueueClosed, LoadError, SpecError
from aiohooks.inference.slots import Slots
from aiohooks.open_inference import (
    JSON_LENGTH_HEADER,
    InferAnswer,
    InferRequest,
    Tensor,
    read_request,
    write_answer,
)

pytestmark = pytest.mark.anyio

F32 = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("kind", KINDS)
async def test_our_server_gives_the_same_predictions(tmp_path: Path, kind: str) -> None:
    path = tiny_models.save(getattr(tiny_models, kind)(), tmp_path / "model.xml")
    async with served.serving(path) as server, ah.Deployment.remote(server.url, "model") as remote:
        assert remote.labels == server.deployment.labels
        for picture in PICTURES:
            local = await server.deployment.infer(picture)
            assert same(await remote.infer(picture), local)
            assert same(await remote.infer(served.png(picture)), local)
        assert remote.describe().task == local.task


async def test_hooks_run_here(tmp_path: Path) -> None:
    seen = []

    async def keep(event: ah.HookEvent) -> None:
        seen.append((event.frame.index, event.prediction.label_names))

    pictures = [tiny_models.plain(**{colour: 255}) for colour in ("red", "green", "blue") * 10]
    async with (
        served.serving(served.colours(tmp_path)) as server,
        ah.Deployment.remote(server.url, "colours") as remote,
    ):
        remote.add_hook(ah.PostInferenceHook(trigger=ah.LabelTrigger(["green"]), action=keep))
        async with remote.stream(pictures) as results:
            told = [(result.index, result.prediction.label_names[0]) async for result in results]
        await remote.drained()
        assert not server.deployment.hooks
    assert told == list(enumerate(("red", "green", "blue") * 10))
    assert sorted(seen) == [(index, ("green",)) for index in range(1, 30, 3)]


async def test_monitors_watch_from_here(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.classifier(xai=True), tmp_path / "model.xml")
    features = np.random.default_rng(0).normal(size=(200, 48)).astype(np.float32)
    ood = ah.OODModel.fit_arrays(features)
    async with served.serving(path) as server, ah.Deployment.remote(server.url, "model") as remote:
        remote.attach(ood)
        prediction = await remote.infer(PICTURES[0])
        assert prediction.ood_score == ood.score(prediction.feature_vector)
        with pytest.raises(SpecError, match="feature vectors of 48 numbers"):
            remote.attach(ah.OODModel.fit_arrays(features[:, :5]))


class TensorServer:
    """A server of a model's own tensors, as OpenVINO Model Server, KServe and Triton are: what it answers is made here.

    Attributes:
        failures: statuses to answer with before an inference succeeds.
        begun: inferences that came.
        cancelled: inferences whose client left.
    """

    def __init__(self) -> None:
        self.failures: list[int] = []
        self.begun = 0
        self.cancelled = 0
        self.gate = anyio.Event()
        self.gate.set()
        self.rename = {"image": "image", "logits": "logits"}

    async def metadata(self, request: web.Request) -> web.Response:
        inputs = [{"name": self.rename["image"], "datatype": "FP32", "shape": [1, 3, 64, 64]}]
        outputs = [{"name": self.rename["logits"], "datatype": "FP32", "shape": [1, 3]}]
        return web.json_response(
            {"name": "m", "versions": ["1"], "platform": "openvino", "inputs": inputs, "outputs": outputs}
        )

    async def infer(self, request: web.Request) -> web.Response:
        self.begun += 1
        body = await request.read()
        length = request.headers.get(JSON_LENGTH_HEADER)
        (image,) = read_request(body, None if length is None else int(length)).inputs
        if self.failures:
            return web.json_response({"error": "busy"}, status=self.failures.pop(0), headers={"Retry-After": "0"})
        try:
            await self.gate.wait()
        except BaseException:
            self.cancelled += 1
            raise
        assert image.array.shape == (1, 3, 64, 64)
        logits = 10 * image.array.mean((2, 3))
        answer, told = write_answer(InferAnswer("m", (Tensor("logits", logits),)), {"logits"})
        return web.Response(body=answer, headers={JSON_LENGTH_HEADER: str(told)})


@asynccontextmanager
async def tensor_server() -> AsyncIterator[tuple[TensorServer, str]]:
    server = TensorServer()
    app = web.Application(client_max_size=2**30)
    app.router.add_get("/v2/models/m", server.metadata)
    app.router.add_post("/v2/models/m/infer", server.infer)
    async with aiohooks.server.serve(app, drain_seconds=0.1) as (host, port):
        yield server, f"http://{host}:{port}"


async def test_a_models_file_says_how_its_tensors_are_meant(tmp_path: Path) -> None:
    path = served.colours(tmp_path)
    async with (
        ah.Deployment.load(path, preprocessing="opencv", config=F32) as local,
        tensor_server() as (_, url),
        ah.Deployment.remote(url, "m", like=path) as remote,
    ):
        assert remote.labels == local.labels
        for picture in PICTURES:
            here, there = await local.infer(picture), await remote.infer(picture)
            assert there.label_names == here.label_names
            assert there.scores == pytest.approx(here.scores, abs=1e-4)


@pytest.mark.parametrize("preprocessing", ["graph", "opencv"])
async def test_our_own_tensors_will_do(tmp_path: Path, preprocessing: Any) -> None:
    path = tiny_models.save(tiny_models.detector(), tmp_path / "model.xml")
    async with (
        served.serving(path, load={"preprocessing": preprocessing}) as server,
        ah.Deployment.remote(server.url, "model.tensors", like=path, preprocessing=preprocessing) as remote,
    ):
        for picture in PICTURES:
            assert same(await remote.infer(picture), await server.deployment.infer(picture))


async def test_code_of_your_own_says_how_tensors_are_meant() -> None:
    def prepare(pixels: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        return {"image": pixels.transpose(2, 0, 1)[None] / 255}

    def decode(outputs: Mapping[str, NDArray[Any]], frame: ah.Frame) -> ah.Prediction:
        best = int(outputs["logits"][0].argmax())
        return ah.Prediction.classification((frame.height, frame.width), ["r", "g", "b"], [1.0], [best])

    async with (
        tensor_server() as (_, url),
        ah.Deployment.remote(url, "m", prepare=prepare, decoder=decode, labels=["r", "g", "b"]) as remote,
    ):
        assert [label.name for label in remote.labels] == ["r", "g", "b"]
        assert (await remote.infer(tiny_models.plain(blue=255))).label_names == ("b",)


async def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    async with (
        tensor_server() as (server, url),
        ah.Deployment.remote(url, "m", like=served.colours(tmp_path)) as remote,
    ):
        server.failures = [503, 429, 502]
        assert (await remote.infer(tiny_models.plain(red=255))).label_names == ("red",)
        assert server.begun == 4


async def test_what_does_not_pass_fails_its_own_inference(tmp_path: Path) -> None:
    path = served.colours(tmp_path)
    async with tensor_server() as (server, url), ah.Deployment.remote(url, "m", like=path, timeout=0.3) as remote:
        server.failures = [400]
        async with remote.stream([tiny_models.plain(red=255)] * 3, max_in_flight=1) as results:
            told = [result async for result in results]
        assert [result.ok for result in told] == [False, True, True]
        assert "the server answered 400: busy" in str(told[0].error)
        server.failures = [503] * 1000
        with pytest.raises(InferenceError, match=r"answered 503: busy \(after \d+ retries in 0.3"):
            await remote.infer(tiny_models.plain())


async def test_cancelling_here_ends_the_work_there_and_frees_the_slot(tmp_path: Path) -> None:
    path = served.colours(tmp_path)
    async with tensor_server() as (server, url), ah.Deployment.remote(url, "m", like=path, max_requests=1) as remote:
        server.gate = anyio.Event()
        with anyio.move_on_after(0.1) as scope:
            await remote.infer(tiny_models.plain())
        assert scope.cancelled_caught
        await served.until(lambda: server.cancelled == 1)
        server.gate.set()
        assert (await remote.infer(tiny_models.plain(green=255))).label_names == ("green",)


async def test_closing_lets_what_runs_finish_and_fails_what_waits(tmp_path: Path) -> None:
    path = served.colours(tmp_path)
    async with tensor_server() as (server, url):
        remote = ah.Deployment.remote(url, "m", like=path, max_requests=2)
        await remote.open()
        server.gate = anyio.Event()
        ended: list[str] = []

        async def infer() -> None:
            try:
                await remote.infer(tiny_models.plain(red=255))
                ended.append("done")
            except InferQueueClosed:
                ended.append("closed")

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(infer)
            await served.until(lambda: server.begun == 2 and remote.model._queue.waiting == 3)
            tasks.start_soon(remote.aclose)
            await served.until(lambda: len(ended) == 3)
            server.gate.set()
    assert sorted(ended) == ["closed"] * 3 + ["done"] * 2


async def test_another_model_than_the_file_is_told_at_once(tmp_path: Path) -> None:
    path = served.colours(tmp_path)
    async with tensor_server() as (server, url):
        server.rename["image"] = "input"
        with pytest.raises(LoadError, match="has no input 'image', which the one here has, but \\['input'\\]"):
            async with ah.Deployment.remote(url, "m", like=path):
                pass
        server.rename["image"] = "image"
        with pytest.raises(LoadError, match="pass like=, the model's file, or decoder= and prepare="):
            async with ah.Deployment.remote(url, "m"):
                pass
        with pytest.raises(LoadError, match="the server answered 404"):
            async with ah.Deployment.remote(url, "missing", like=path):
                pass
    with pytest.raises(LoadError, match="Connect"):
        async with ah.Deployment.remote(url, "m", timeout=0.2):
            pass


async def test_a_token_is_sent_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    async with served.serving(served.colours(tmp_path), token="s3cret") as server:
        async with ah.Deployment.remote(server.url, "colours", token_env="TOKEN") as remote:
            assert (await remote.infer(tiny_models.plain(red=255))).label_names == ("red",)
            assert "s3cret" not in repr(remote) + repr(remote.model) + repr(remote.model._client)
        with pytest.raises(LoadError, match=r"401.*token_env='NAME'"):
            async with ah.Deployment.remote(server.url, "colours"):
                pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "ftp://host"}, "must be http"),
        ({"url": "http://user:pass@host"}, "without a password"),
        ({"like": "x", "decoder": print}, "give like"),
        ({"prepare": dict}, "belong together"),
        ({"token_env": "NOT_SET"}, "NOT_SET is not set"),
    ],
)
def test_what_does_not_go_together(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        ah.Deployment.remote(**{"url": "http://host", "model": "m"} | arguments)


async def test_slots_are_given_in_order_and_not_lost() -> None:
    slots = Slots(1)
    order: list[int] = []

    async def use(number: int) -> None:
        async with slots.one():
            order.append(number)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks, slots.one():
        for number in range(5):
            tasks.start_soon(use, number)
        await anyio.wait_all_tasks_blocked()
        assert (slots.running, slots.waiting) == (1, 5)
    assert order == list(range(5))
    assert (slots.running, slots.waiting) == (0, 0)


async def test_whoever_is_cancelled_leaves_the_line() -> None:
    slots = Slots(1)
    async with asyncio.TaskGroup() as tasks, slots.one():

        async def use() -> None:
            async with slots.one():
                pass

        first, second = tasks.create_task(use()), tasks.create_task(use())
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert slots.waiting == 1
        slots._give_back()  # the slot of this block goes to the second, which is cancelled at the same time
        second.cancel()
        await anyio.wait_all_tasks_blocked()
        assert (slots.running, slots.waiting) == (0, 0)
        slots.running += 1
    assert (slots.running, slots.waiting) == (0, 0)
    await slots.aclose()
    with pytest.raises(InferQueueClosed):
        await slots._take()


async def test_messages_of_others_are_read() -> None:
    """A request as Triton's clients write it: `read_request` is what our own fake uses above."""
    head = b'{"inputs":[{"name":"a","shape":[2],"datatype":"INT8","parameters":{"binary_data_size":2}}]}'
    request: InferRequest = read_request(head + b"\x01\xff", len(head))
    assert request.inputs[0].array.tolist() == [1, -1]
