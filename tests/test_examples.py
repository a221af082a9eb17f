"""The examples that serve or ask a server, over real sockets, with a tiny model in place of theirs."""

import importlib.util
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import aiohttp
import anyio
import cv2
import fake_geti
import fake_supervisely
import pytest
import tiny_models
from on_loopback import on_loopback
from sources_fixtures import write_video

from aiohooks import Prediction

pytestmark = pytest.mark.anyio

Serve = Callable[[], AbstractAsyncContextManager[aiohttp.ClientSession]]


@asynccontextmanager
async def with_aiohttp(example: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with on_loopback(example.create_app()) as url, aiohttp.ClientSession(url) as client:
        yield client


@asynccontextmanager
async def with_uvicorn(example: Any) -> AsyncIterator[aiohttp.ClientSession]:
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        server = uvicorn.Server(uvicorn.Config(example.app, log_config=None))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
                yield client
            server.should_exit = True


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["aiohttp_app", "fastapi_app", "starlette_app"])
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if request.param != "aiohttp_app":
        for package in (request.param.removesuffix("_app"), "uvicorn"):
            pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    module = loaded(request.param)
    monkeypatch.setenv("MODEL", str(tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")))
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def serving(example: ModuleType) -> Serve:
    return lambda: with_aiohttp(example) if example.__name__ == "aiohttp_app" else with_uvicorn(example)


def png(**colours: int) -> bytes:
    image = cv2.cvtColor(tiny_models.plain(**colours), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", image)[1].tobytes()


async def test_a_posted_picture_is_answered_with_getis_json(serving: Serve) -> None:
    async with serving() as client, client.post("/predict", data=png(green=255)) as answer:
        assert answer.status == 200
        assert Prediction.from_geti(await answer.json()).label_names == ("green",)


async def test_requests_at_once_get_their_own_answers(serving: Serve) -> None:
    async with serving() as client:

        async def ask(colour: str) -> None:
            for _ in range(20):
                async with client.post("/predict", data=png(**{colour: 255})) as answer:
                    assert Prediction.from_geti(await answer.json()).label_names == (colour,)

        async with anyio.create_task_group() as tasks:
            for colour in ("red", "green", "blue") * 2:
                tasks.start_soon(ask, colour)


@pytest.mark.parametrize("body", [b"", b"not a picture", png(red=255)[:-20]])
async def test_what_is_no_picture_is_the_clients_mistake(serving: Serve, body: bytes) -> None:
    async with serving() as client, client.post("/predict", data=body) as answer:
        assert answer.status == 400
        assert "picture" in await answer.text()


async def test_a_body_over_the_limit_is_refused(example: Any, serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "MAX_BODY_BYTES", len(png(red=255)))
    async with serving() as client:
        async with client.post("/predict", data=png(red=255)) as answer:
            assert answer.status == 200
        async with client.post("/predict", data=png(red=255) + b"x") as answer:
            assert answer.status == 413


async def test_unsure_pictures_are_kept_by_the_time_the_app_has_stopped(serving: Serve, tmp_path: Path) -> None:
    unsure = png(red=99, green=99, blue=99)
    async with serving() as client:
        for body in (unsure, png(red=255)):
            async with client.post("/predict", data=body) as answer:
                assert answer.status == 200
    assert [path.read_bytes() for path in (tmp_path / "unsure_uploads/images").iterdir()] == [unsure]


@pytest.mark.parametrize("with_server", [True, False])
async def test_frames_are_collected_to_geti_or_else_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], with_server: bool
) -> None:
    monkeypatch.setenv("MODEL", str(tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")))
    monkeypatch.chdir(tmp_path)
    async with fake_geti.serving() as geti:
        for name in ("HOST", "TOKEN", "PROJECT", "VERIFY_CERT", "HTTPS_PROXY"):
            monkeypatch.delenv(f"GETI_{name}", raising=False)
        if with_server:
            project = geti.add_project("colours")
            for name, value in [("HOST", geti.url), ("TOKEN", fake_geti.TOKEN), ("PROJECT", "colours")]:
                monkeypatch.setenv(f"GETI_{name}", value)
        await cast("Any", loaded("collect_to_geti")).main(str(write_video(tmp_path / "in.mp4", 5)))
        if with_server:
            assert [dataset["name"] for dataset in geti.datasets[project]] == ["Dataset", "from the street"]
            assert len(geti.pictures[geti.datasets[project][1]["id"]]) == 1
        else:
            assert geti.seen == []
            assert len(list((tmp_path / "unsure_frames/images").iterdir())) == 1
    said = capsys.readouterr().out
    assert "fired 5×, collected 1, over its rate 4" in said
    assert ("set GETI_HOST, GETI_TOKEN, GETI_PROJECT to collect there" in said) is not with_server
    assert fake_geti.TOKEN not in said + (tmp_path / "collect_to_geti.json").read_text()


async def test_the_tutorial_of_supervisely_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tutorial = cast("Any", loaded("supervisely_tutorial"))
    names = ("red", "green", "blue")
    for name in names:
        (tmp_path / f"{name}.png").write_bytes(png(**{name: 255}))
    files = [*(tmp_path / f"{name}.png" for name in names), write_video(tmp_path / "in.mp4", 120)]

    async def fetch(*_: Any, **__: Any) -> list[Path]:
        return files

    monkeypatch.setattr(tutorial, "fetch", fetch)
    monkeypatch.setenv("MODEL", str(tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")))
    monkeypatch.chdir(tmp_path)
    async with fake_supervisely.serving() as platform:
        monkeypatch.setenv("SERVER_ADDRESS", platform.url)
        monkeypatch.setenv("API_TOKEN", fake_supervisely.TOKEN)
        monkeypatch.setenv("WORKSPACE_ID", "7")
        for name in ("TASK_ID", "SESSION_URL"):
            monkeypatch.delenv(name, raising=False)
        await tutorial.main()
        assert sorted(each["tags"][0]["name"] for each in platform.annotations.values()) == sorted(names)
    said = capsys.readouterr().out
    for line in ("image classification on CPU, 3 classes", "red.png: red", "uploaded 3 pictures", "in.mp4: 25 frames"):
        assert line in said
    assert "backwards to frame 90 of 101 and left" in said
    saved = Prediction.from_supervisely(json.loads((tmp_path / "tutorial/blue.json").read_text()))
    assert saved.label_names == ("blue",)


async def test_inference_elsewhere_and_hooks_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL", str(tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")))
    example = cast("Any", loaded("remote_inference"))
    pictures = {colour: tmp_path / f"{colour}.png" for colour in ("red", "green")}
    for colour, path in pictures.items():
        path.write_bytes(png(**{colour: 255}))

    async def fetch(_: object, **__: object) -> list[Path]:
        return list(pictures.values())

    monkeypatch.setattr(example, "fetch", fetch)
    await example.main([])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said[:2]] == [["0", "red.png", "red"], ["1", "green.png", "green"]]
    assert said[2] == "the hook saw 2 pictures here, and was unsure of 0"
