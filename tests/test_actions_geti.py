"""What GetiDataCollection uploads, and that nothing gets lost on the way. The server is a fake one over real sockets."""

import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
import pytest
import tiny_models
from aiohttp import web
from fake_geti import TOKEN, FakeGeti, Trouble, serving

from aiohooks import AlwaysTrigger, Deployment, PostInferenceHook
from aiohooks.backoff import Backoff
from aiohooks.clients.geti import workspace_access
from aiohooks.errors import RemoteError, SessionError, SpecError
from aiohooks.file_name import MAX_BYTES
from aiohooks.frame import Frame
from aiohooks.hooks.actions import GetiDataCollection, UploadedPicture
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.outcome import OutcomeKind
from aiohooks.hooks.saved import hooks_from_json, hooks_to_json, save_hooks
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio

NOISE = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
DOG = Prediction.detection((48, 64), ["cat", "dog"], [[4, 5, 30, 40]], [0.75], ["dog"])
BIRD = Prediction.detection((48, 64), ["bird"], [[4, 5, 30, 40]], [0.75], ["bird"])
CONNECTIONS = 8
"""What a GetiClient opens at most."""


def event(
    index: int = 0, *, image: Any = NOISE, name: str = "cam", encoded: bytes | None = None, prediction: Prediction = DOG
) -> HookEvent:
    return HookEvent(Frame(image, name=name, index=index, encoded=encoded), prediction, hook="dogs")


def encoded(suffix: str, image: Any = NOISE) -> bytes:
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


def decoded(data: bytes) -> Any:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(workspace_access, "Backoff", partial(Backoff, 0.002, 0.02))
    monkeypatch.setenv("GETI_TOKEN", TOKEN)
    monkeypatch.delenv("GETI_HTTPS_PROXY", raising=False)
    return monkeypatch


@pytest.fixture
async def geti(environment: pytest.MonkeyPatch) -> AsyncIterator[FakeGeti]:
    async with serving() as fake:
        fake.add_project("animals")
        environment.setenv("GETI_HOST", fake.url)
        yield fake


def pictures_of(geti: FakeGeti, dataset: int = 0, project: int = 0) -> list[dict[str, Any]]:
    return geti.pictures[geti.datasets[geti.projects[project]["id"]][dataset]["id"]]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff"])
async def test_the_bytes_that_a_frame_came_in_are_uploaded_as_they_are(geti: FakeGeti, suffix: str) -> None:
    data = encoded(suffix)
    uploaded = await GetiDataCollection("animals")(event(3, name="front/dog.PNG", encoded=data))
    [picture] = pictures_of(geti)
    assert geti.contents[picture["id"]] == data
    assert uploaded == UploadedPicture(picture["id"], uploaded.name, "Dataset", annotated=False)
    assert uploaded.name.startswith("front_dog_")
    assert uploaded.name.endswith("_3" + suffix.removesuffix("f"))
    assert picture["name"] == Path(uploaded.name).stem


@pytest.mark.parametrize("name", ["x" * 5000, "猫" * 300, "../" * 200, "CON", ".", ".png"])
async def test_no_two_frames_get_one_name(geti: FakeGeti, name: str) -> None:
    async with GetiDataCollection("animals").lifespan() as upload:
        uploaded = [await upload(event(index, name=name)) for index in (1, 2, 10**12)]
    assert [one.name.rpartition("_")[2] for one in uploaded] == ["1.png", "2.png", "1000000000000.png"]
    assert [picture["name"] for picture in pictures_of(geti)] == [Path(one.name).stem for one in uploaded]
    assert all(len(one.name.encode()) <= MAX_BYTES + len(".png") for one in uploaded)


async def test_the_key_of_an_event_is_in_the_name_of_its_picture(geti: FakeGeti) -> None:
    uploaded = await GetiDataCollection("animals")(replace(event(3), key="0123abcd"))
    assert uploaded.name.endswith("_3_0123abcd.png")


@pytest.mark.parametrize("data", [None, encoded(".webp"), b"GIF89a"])
async def test_other_frames_are_encoded_without_loss(geti: FakeGeti, data: bytes | None) -> None:
    uploaded = await GetiDataCollection("animals")(event(name="", encoded=data))
    assert uploaded.name.startswith("frame_")
    assert uploaded.name.endswith("_0.png")
    assert (decoded(geti.contents[uploaded.id]) == NOISE).all()


async def test_other_frames_become_a_jpeg_where_that_is_wanted(geti: FakeGeti) -> None:
    smooth = cv2.GaussianBlur(NOISE, (0, 0), 5)
    uploaded = await GetiDataCollection("animals", image_format="jpeg")(event(image=smooth))
    assert uploaded.name.endswith("_0.jpg")
    assert np.abs(decoded(geti.contents[uploaded.id]).astype(int) - smooth).max() < 16


async def test_the_dataset_is_made_once_by_many_events(geti: FakeGeti) -> None:
    project = geti.projects[0]["id"]
    async with GetiDataCollection(project, "hook data").lifespan() as upload, anyio.create_task_group() as tasks:
        assert geti.seen == []
        for i in range(20):
            tasks.start_soon(upload, event(i))
    assert [dataset["name"] for dataset in geti.datasets[project]] == ["Dataset", "hook data"]
    assert (len(pictures_of(geti)), len(pictures_of(geti, 1))) == (0, 20)
    assert sum(line.startswith("POST") for line in geti.seen) == 1 + 20
    assert len(geti.seen) == 5 + 1 + 20  # organisation, workspace, projects, project, datasets; dataset; pictures
    assert geti.most_open <= CONNECTIONS


async def test_the_prediction_goes_with_it_if_asked(geti: FakeGeti) -> None:
    uploaded = await GetiDataCollection("animals", include_prediction=True)(event())
    assert uploaded.annotated
    assert geti.annotations[uploaded.id] == [
        {
            "labels": [{"probability": 0.75, "name": "dog", "color": "#00ff00ff", "id": "label-dog"}],
            "shape": {"x": 4, "y": 5, "width": 26, "height": 35, "type": "RECTANGLE"},
        }
    ]
    nothing = Prediction.empty(DOG.task, (48, 64), ["dog"])
    assert (await GetiDataCollection("animals", include_prediction=True)(event(prediction=nothing))).annotated


async def test_a_label_that_geti_does_not_know_fails_the_event_before_anything_is_uploaded(geti: FakeGeti) -> None:
    with pytest.raises(
        SessionError, match="project 'animals': it has no label 'bird'; its labels are: No object, cat, dog"
    ):
        await GetiDataCollection("animals", include_prediction=True)(event(prediction=BIRD))
    assert pictures_of(geti) == []


async def test_what_the_server_refuses_is_told(geti: FakeGeti, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SessionError, match="no project 'plants'"):
        await GetiDataCollection("plants")(event())
    geti.trouble = lambda request: Trouble("status", 413) if "media" in request.path else None
    with pytest.raises(RemoteError, match="answered 413"):
        await GetiDataCollection("animals")(event())
    environment.setenv("OTHER", "wrong")
    with pytest.raises(RemoteError, match="It comes from the environment variable OTHER"):
        await GetiDataCollection("animals", token_variable="OTHER")(event())
    environment.delenv("OTHER")
    with pytest.raises(SpecError, match="the environment variable OTHER is not set"):
        await GetiDataCollection("animals", token_variable="OTHER")(event())


async def test_the_next_event_looks_again_for_what_was_not_found(geti: FakeGeti) -> None:
    async with GetiDataCollection("plants").lifespan() as upload:
        with pytest.raises(SessionError, match="no project 'plants'"):
            await upload(event())
        geti.add_project("plants")
        await upload(event())
    assert len(pictures_of(geti, project=1)) == 1


@pytest.mark.usefixtures("environment")
async def test_a_server_that_starts_later_gets_its_pictures() -> None:
    refused = anyio.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert "cannot be reached" in record.getMessage()
            refused.set()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    logger = logging.getLogger("aiohooks.clients")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(told := Told())
    try:
        action = GetiDataCollection("animals", host=f"http://127.0.0.1:{port}")
        async with AsyncExitStack() as stack:
            async with action.lifespan() as upload, anyio.create_task_group() as tasks:
                for i in range(3):
                    tasks.start_soon(upload, event(i))
                await refused.wait()
                geti = await stack.enter_async_context(serving(port=port))
                geti.add_project("animals")
            assert len(pictures_of(geti)) == 3
    finally:
        logger.removeHandler(told)
        logger.setLevel(level)


async def test_what_is_under_way_when_a_deployment_closes_is_cancelled_and_counted(
    geti: FakeGeti, tmp_path: Path
) -> None:
    geti.trouble = lambda _: Trouble("wait")
    model = tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")
    async with Deployment.load(model, drain_timeout=0) as deployment:
        running = deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=GetiDataCollection("animals")))
        for _ in range(3):
            await deployment.infer(tiny_models.plain(red=255))
        await geti.arrived.wait()
    assert (running.counts.fired, running.counts.cancelled) == (3, 3)


async def test_what_was_uploaded_is_logged_at_the_level_asked_for(
    geti: FakeGeti, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiohooks.hooks")
    uploaded = await GetiDataCollection("animals", log_level="info")(event())
    await GetiDataCollection("animals")(event())
    mine = [record.getMessage() for record in caplog.records if record.name == "aiohooks.hooks"]
    assert mine == [f"hook dogs: uploaded {uploaded.name} to dataset Dataset of animals"]


async def test_a_hook_asks_nothing_before_its_first_event(
    geti: FakeGeti, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = hooks_to_json([PostInferenceHook(trigger=AlwaysTrigger(), action=GetiDataCollection("animals", "new"))])
    [hook] = hooks_from_json(data)
    async with Deployment.load(tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")) as deployment:
        running = deployment.add_hook(hook)
        outcomes = deployment.outcomes()
        environment.delenv("GETI_TOKEN")
        await deployment.infer(tiny_models.plain(red=255))
        await deployment.drained()
        assert (running.counts.failed, geti.seen) == (1, [])
        environment.setenv("GETI_TOKEN", TOKEN)
        await deployment.infer(tiny_models.plain(red=255))
        await deployment.drained()
        assert running.counts.done == 1
    kinds = {outcome.kind: str(outcome.error) async for outcome in outcomes}
    assert "the environment variable GETI_TOKEN is not set" in kinds[OutcomeKind.FAILED]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"project": ""}, "project: "),
        ({"dataset": ""}, "dataset: "),
        ({"host": "http://geti.local"}, "host: Geti host: use https"),
        ({"host": f"https://{TOKEN}@geti"}, "host: Geti host: expected only https"),
        ({"token_variable": TOKEN}, "token_variable: "),
        ({"timeout": 0}, "timeout: "),
        ({"image_format": "webp"}, "image_format: "),
        ({"include_prediction": "yes"}, "include_prediction: "),
    ],
)
def test_wrong_parameters_are_refused_where_they_are_given(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=rf"GetiDataCollection\.{problem}") as caught:
        GetiDataCollection(**({"project": "animals"} | parameters))
    assert TOKEN not in str(caught.value)


class Weather:
    """A server with bad days: a fifth of its answers are 503, a tenth ask to wait, a twentieth of the connections break."""

    def __init__(self) -> None:
        self._random = random.Random(11)
        self.met = dict.fromkeys(("503", "throttled", "reset", "lost"), 0)

    def __call__(self, _request: web.Request) -> Trouble | None:
        dice = self._random.random()
        if dice < 0.20:
            return self._met("503", Trouble("status", 503))
        if dice < 0.30:
            seconds = "1" if self.met["throttled"] < 3 else "0"
            return self._met("throttled", Trouble("status", 429, {"Retry-After": seconds}))
        if dice < 0.33:
            return self._met("reset", Trouble("reset"))
        if dice < 0.35:
            return self._met("lost", Trouble("reset", afterwards=True))
        return None

    def _met(self, kind: str, trouble: Trouble) -> Trouble:
        self.met[kind] += 1
        return trouble


async def test_three_hundred_frames_arrive_whatever_the_weather(
    geti: FakeGeti, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """All arrive, the dataset is made once, no more connections are open than the pool allows, the token is nowhere to be seen."""
    caplog.set_level(logging.DEBUG)
    project = geti.add_project("colours", labels=("red", "green", "blue"))
    geti.trouble = weather = Weather()
    action = GetiDataCollection("colours", "hook data", include_prediction=True)
    deployment = Deployment.load(tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml"), drain_timeout=60)
    running = deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=action, max_concurrency=20))
    outcomes = deployment.outcomes()
    picture = np.full((48, 64, 3), (255, 0, 0), np.uint8)
    frames = [Frame(picture, name=f"{i:03}", index=i, owned=True) for i in range(300)]
    async with deployment, deployment.stream(frames) as results:
        async for result in results:
            assert result.ok

    said = [outcome async for outcome in outcomes]
    assert [outcome.kind for outcome in said] == [OutcomeKind.DONE] * 300
    assert running.counts.done == 300
    assert min(weather.met.values()) > 5
    assert [dataset["name"] for dataset in geti.datasets[project]] == ["Dataset", "hook data"]
    arrived = pictures_of(geti, 1, project=1)
    # An answer that was lost is all that makes a picture arrive twice, under the same name.
    assert {name[:3] for name in {picture["name"] for picture in arrived}} == {f"{i:03}" for i in range(300)}
    assert len({picture["name"] for picture in arrived}) == 300
    assert 300 <= len(arrived) <= 300 + weather.met["lost"]
    assert {outcome.value.id for outcome in said} <= set(geti.annotations)
    assert geti.most_open <= CONNECTIONS

    save_hooks(tmp_path / "hooks.json", [running.hook])
    everything = [repr(running.hook), repr(running), repr(deployment), caplog.text, *map(repr, said)]
    everything.append((tmp_path / "hooks.json").read_text())
    assert "the server answered 503" in caplog.text
    assert not any(TOKEN in text for text in everything)
