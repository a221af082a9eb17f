"""The client of served models, against our server and against a stub of Supervisely's."""

import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import cv2
import pytest
import served
import supervisely_stub
import tiny_models
from aiohttp import web
from gated_model import gated
from sources_fixtures import serve_camera, write_video

from aiohooks import Frame, FrameError, RemoteError, Session, SessionError, SpecError, Task
from aiohooks.backoff import Backoff
from aiohooks.clients.session.address import read_address
from aiohooks.clients.session.video import video_state
from aiohooks.server.supervisely.media import id_of

pytestmark = pytest.mark.anyio

QUICK = Backoff(first=0.001, most=0.01)
FRAMES = 12


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Target(NamedTuple):
    """A server to talk to: where it is, a folder with its media, and the ids of these."""

    session: Session
    folder: Path
    id_of: Callable[[str], int]
    is_ours: bool


def write_media(folder: Path) -> Path:
    for index in range(3):
        image = tiny_models.picture(red=(8 + index, 4, 24, 20), green=(30, 30, 50, 60))
        cv2.imwrite(str(folder / f"{index}.png"), image[..., ::-1])
    write_video(folder / "v.mp4", FRAMES)
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media(tmp_path_factory.mktemp("media"))


@pytest.fixture(params=["ours", "supervisely"])
async def target(request: pytest.FixtureRequest, media: Path) -> AsyncIterator[Target]:
    if request.param == "ours":
        model = tiny_models.detector()
        async with (
            served.serving(model, media=media, allow_url_fetch=["127.0.0.1"]) as server,
            Session(server.url, backoff=QUICK) as session,
        ):
            yield Target(session, media, id_of, is_ours=True)
        return
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        names = {"0.png": 1, "1.png": 2, "2.png": 3, "v.mp4": 4}
        stub.media = {identity: media / name for name, identity in names.items()}
        yield Target(session, media, names.__getitem__, is_ours=False)


async def test_it_knows_what_it_talks_to(target: Target) -> None:
    session = target.session
    assert [label.name for label in session.labels] == ["red", "green", "blue"]
    assert [item["title"] for item in session.meta["classes"]] == ["red", "green", "blue"]
    assert session.info.number_of_classes == 3
    assert session.info.task_type == "object detection"
    assert session.info.app_name == ("aiohooks" if target.is_ours else "Serve Tiny")
    assert (await session.deploy_info())["model_name"] == "tiny"


async def test_settings_by_keyword_mapping_and_file(target: Target, tmp_path: Path) -> None:
    session, picture = target.session, target.folder / "0.png"
    assert (await session.default_settings())["conf"] == 0.5
    assert len(await session.infer(picture)) == 2
    await session.update_settings(conf=0.95)
    assert session.settings == {"conf": 0.95}
    assert len(await session.infer(picture)) == 0
    assert len(await session.infer(picture, settings={"conf": 0.25})) == 2
    file = tmp_path / "settings.yaml"
    file.write_text("conf: 0.75\nclasses: null\n")
    await session.set_settings(file)
    assert session.settings == {"conf": 0.75, "classes": None}
    assert len(await session.infer(picture)) == 2
    with pytest.raises(SpecError, match=r"'iou' is no setting of this model; there are: conf"):
        await session.update_settings(iou=1)


async def test_pictures_of_all_kinds(target: Target) -> None:
    session, path = target.session, target.folder / "0.png"
    image = tiny_models.picture(red=(8, 4, 24, 20), green=(30, 30, 50, 60))
    pictures = [path, str(path), path.read_bytes(), image, Frame(image, "a name"), target.id_of("0.png")]
    for picture in pictures:
        prediction = await session.infer(picture)
        assert prediction.task is Task.DETECTION
        assert prediction.size == (64, 64)
        assert prediction.label_names == ("red", "green")
        assert prediction.boxes.tolist() == [[8, 4, 24, 20], [30, 30, 50, 60]]
        assert prediction.scores.tolist() == pytest.approx([230 / 255] * 2)
        assert prediction.labels == session.labels


async def test_a_picture_behind_a_url(target: Target) -> None:
    async def show(response: web.StreamResponse) -> None:
        await response.write((target.folder / "1.png").read_bytes() if target.is_ours else b"")

    async with serve_camera(show, headers={"Content-Type": "image/png"}) as camera:
        prediction = await target.session.infer(camera.url)
    assert prediction.label_names == ("red", "green")


async def test_many_pictures_keep_their_order(target: Target) -> None:
    names = [f"{index % 3}.png" for index in range(40)]
    paths = [target.folder / name for name in names]
    found = await target.session.infer_many(paths)
    assert [each.boxes[0][0] for each in found] == [8 + index % 3 for index in range(40)]
    mixed = [paths[0], target.id_of("1.png"), target.id_of("2.png"), paths[2].read_bytes()]
    assert [each.boxes[0][0] for each in await target.session.infer_many(mixed)] == [8, 9, 10, 10]
    assert await target.session.infer_many([]) == []


RANGES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, list(range(FRAMES))),
    ({"start": 3, "count": 4}, [3, 4, 5, 6]),
    ({"start": 2, "count": 3, "stride": 4}, [2, 6, 10]),
    ({"start": 9, "count": 3, "direction": "backward"}, [9, 8, 7]),
    ({"start": 9, "count": 3, "stride": 2, "direction": "backward"}, [9, 7, 5]),
    ({"start": 5, "count": 1}, [5]),
]


async def test_frames_of_a_video(target: Target) -> None:
    for by_id in (True, False):
        video: Any = target.id_of("v.mp4") if by_id else target.folder / "v.mp4"
        for frames, expected in RANGES:
            async with target.session.infer_video(video, **frames) as results:
                assert len(results) == len(expected)
                found = [result async for result in results]
                assert len(results) == len(expected)
            assert [frame_index for frame_index, _ in found] == expected
            assert {prediction.size for _, prediction in found} == {(64, 96)}


async def test_a_bare_loop_over_a_video(target: Target) -> None:
    results = target.session.infer_video(target.id_of("v.mp4"))
    with pytest.raises(SessionError, match="use `async with`"):
        len(results)
    assert results.total is None
    assert [index async for index, _ in results] == list(range(FRAMES))
    assert results.total == FRAMES


async def test_several_videos_at_once(target: Target) -> None:
    found: dict[int, list[int]] = {}

    async def infer(start: int) -> None:
        async with target.session.infer_video(target.id_of("v.mp4"), start=start) as results:
            found[start] = [index async for index, _ in results]

    async with anyio.create_task_group() as tasks:
        for start in range(4):
            tasks.start_soon(infer, start)
    assert found == {start: list(range(start, FRAMES)) for start in range(4)}


async def test_what_is_no_video_or_frame_is_said(target: Target) -> None:
    with pytest.raises(ValueError, match="expected start >= 0"):
        target.session.infer_video(1, stride=0)
    with pytest.raises(FrameError, match=r"gone\.mp4: cannot be read: No such file"):
        async with target.session.infer_video("gone.mp4"):
            pass
    with pytest.raises(FrameError, match=r"gone\.png: cannot be read: No such file"):
        await target.session.infer("gone.png")
    with pytest.raises(FrameError, match="expected a path, a URL, an id"):
        await target.session.infer(1.5)  # type: ignore[arg-type]


async def test_a_progress_bar(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    async with target.session.infer_video(target.id_of("v.mp4"), progress=True) as results:
        async for _ in results:
            pass
    assert f"/{FRAMES} " in capsys.readouterr().err


# our server -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def gated_session(media: Path, **options: Any) -> AsyncIterator[tuple[Session, Any, Any]]:
    deployment, model = gated(**options)
    async with served.serving(deployment, media=media) as server, Session(server.url, backoff=QUICK) as session:
        yield session, model, server


async def test_results_arrive_when_they_are_made(media: Path) -> None:
    late: list[float] = []
    async with (
        gated_session(media, is_open=False) as (session, model, _),
        session.infer_video(id_of("v.mp4")) as results,
    ):
        assert len(results) == FRAMES
        for index in range(FRAMES):
            async with anyio.create_task_group() as tasks:
                made: list[float] = []

                async def make(index: int = index, made: list[float] = made) -> None:
                    await model.begins(index)
                    made.append(time.perf_counter())
                    model.gate(index).set()

                tasks.start_soon(make)
                result = await anext(results)
                late.append(time.perf_counter() - made[0])
            assert result.frame_index == index
    assert sorted(late)[len(late) // 2] < 0.05, late


def test_the_frames_that_are_left_out_are_counted_too() -> None:
    state = video_state(start=7, count=3, stride=5, direction="backward")
    assert [state[name] for name in ("startFrameIndex", "framesCount", "num_frames", "stride", "direction")] == [
        7, 11, 11, 5, "backward",
    ]  # fmt: skip


@pytest.mark.parametrize("bare", [True, False])
async def test_leaving_the_loop_stops_the_work(media: Path, bare: bool) -> None:
    async with gated_session(media, is_open=False) as (session, model, _):
        for index in range(3):
            model.gate(index).set()

        async def leave() -> None:
            results = session.infer_video(id_of("v.mp4"))
            if bare:
                async for index, _ in results:
                    if index == 1:
                        await model.begins(3)
                        break
                return
            async with results:
                async for index, _ in results:
                    if index == 1:
                        await model.begins(3)
                        break

        await leave()
        gc.collect()
        with anyio.fail_after(5):
            await model.was_cancelled.wait()
        assert max(model.begun) <= 5
        assert len(await session.infer_many([])) == 0


async def test_closing_the_session_stops_its_videos(media: Path) -> None:
    deployment, model = gated(is_open=False)
    async with served.serving(deployment, media=media) as server:
        async with Session(server.url) as session:
            results = session.infer_video(id_of("v.mp4"))
            await results.__aenter__()
            await model.begins(0)
        with anyio.fail_after(5):
            await model.was_cancelled.wait()
        with pytest.raises(StopAsyncIteration):
            await anext(results)
        with pytest.raises(SessionError, match="use it in `async with`"):
            await session.infer(media / "0.png")


async def test_an_error_of_the_model_comes_after_the_results_before_it(media: Path) -> None:
    async with gated_session(media, failing=4) as (session, _, __):
        found = []
        with pytest.raises(SessionError, match=r"failed on the server: InferenceError: the model failed on this input"):
            async with session.infer_video(media / "v.mp4") as results:
                async for index, _ in results:
                    found.append(index)
        assert found == [0, 1, 2, 3]


async def test_a_token_opens_the_server(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "s3cr3t")
    async with served.serving(tiny_models.detector(), token="s3cr3t") as server:
        async with Session(server.url, token_env="A_TOKEN") as session:
            assert len(await session.infer(media / "0.png")) == 2
            assert "s3cr3t" not in repr(session)
        with pytest.raises(RemoteError, match="answered 401: this server wants its token") as raised:
            async with Session(server.url, token="wrong"):
                pass
        assert raised.value.status == 401
        assert "wrong" not in str(raised.value)


async def test_a_deployment_by_its_name() -> None:
    models = [tiny_models.detector(), tiny_models.classifier()]
    for index, model in enumerate(models):
        model.set_friendly_name(f"model{index}")
    async with served.serving(*models) as server, Session(f"{server.url}/net/model1/") as session:
        assert session.info.task_type == "image classification"
        prediction = await session.infer(tiny_models.plain(green=255))
        assert prediction.task is Task.CLASSIFICATION
        assert prediction.label_names == ("green",)
        local = await server.deployments[1].infer(tiny_models.plain(green=255))
        assert prediction.scores.tolist() == pytest.approx(local.scores.tolist())


MODELS: list[tuple[str, Any]] = [
    ("detector", tiny_models.detector),
    ("rotated_detector", tiny_models.rotated_detector),
    ("instance_segmenter", tiny_models.instance_segmenter),
    ("segmenter", tiny_models.segmenter),
    ("keypoints", tiny_models.keypoints),
    ("multi_label", tiny_models.multi_label),
]


@pytest.mark.parametrize(("name", "model"), MODELS)
async def test_every_task_comes_over_the_network(name: str, model: Any) -> None:
    image = tiny_models.picture(red=(8, 4, 40, 30), green=(10, 32, 60, 60), value=220)
    if name == "multi_label":
        image = tiny_models.plain(red=250, blue=200)
    async with served.serving(model()) as server, Session(server.url) as session:
        far = await session.infer(image)
        near = await server.deployment.infer(image)
    assert far.task is near.task
    assert far.size == near.size
    assert len(near) > 0
    assert far.label_names == near.label_names
    assert far.scores.tolist() == pytest.approx(near.scores.tolist(), abs=1e-6)
    assert abs(far.boxes - near.boxes).max() <= 1
    for field in ("masks", "label_map"):
        if getattr(near, field) is not None:
            assert (getattr(far, field) == getattr(near, field)).all()
    if near.rotated_boxes is not None:
        assert far.rotated_boxes is not None
        assert far.rotated_boxes.ravel().tolist() == pytest.approx(near.rotated_boxes.ravel().tolist(), abs=0.02)


# the habits of Supervisely's servers, and trouble ------------------------------------------------------------------------


async def test_results_before_an_error_of_a_foreign_server_are_not_lost(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.media, stub.failing_frame = {4: media / "v.mp4"}, 3
        found = []
        with pytest.raises(SessionError, match="failed on the server: RuntimeError: CUDA is gone"):
            async for index, _ in session.infer_video(4):
                found.append(index)
        assert found == [0, 1, 2]
        assert "clear_inference_request" in stub.asked


async def test_a_foreign_server_is_told_to_stop(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.media, stub.may_infer = {4: media / "v.mp4"}, anyio.Event()
        async with session.infer_video(4) as results:
            assert len(results) == FRAMES
        assert stub.asked[-2:] == ["stop_inference", "clear_inference_request"]
        stub.may_infer.set()


async def test_an_older_server_does_not_say_finished(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.media, stub.hides_finished = {4: media / "v.mp4"}, True
        assert [index async for index, _ in session.infer_video(4)] == list(range(FRAMES))


async def test_an_answer_that_was_lost_is_told(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.media = {4: media / "v.mp4"}
        with pytest.raises(SessionError, match=r"ended after \d+ of 12 results"):
            async with session.infer_video(4) as results:
                for job in stub.jobs.values():
                    job.pending.clear()
                async for _ in results:
                    pass


async def test_a_retried_upload_is_whole(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        left = [503, 502, 429]
        stub.refuse = lambda method: (
            web.Response(status=left.pop()) if left and method.startswith("inference") else None
        )
        paths = [media / "0.png", media / "1.png"]
        assert len(await session.infer_many(paths)) == 2
        lengths = [path.stat().st_size for path in paths]
        assert stub.uploads == [lengths] * 4


async def test_starting_a_job_is_not_repeated_where_it_may_have_begun(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.refuse = lambda method: web.Response(status=502) if method.startswith("inference") else None
        with pytest.raises(RemoteError, match="answered 502"):
            async with session.infer_video(media / "v.mp4"):
                pass
        assert len(stub.uploads) == 1


async def test_what_a_server_says_of_an_error_is_told(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        told = {"detail": "Only one\nfile expected"}
        stub.refuse = lambda method: web.json_response(told, status=400) if method == "inference_image" else None
        with pytest.raises(
            RemoteError, match=r"inference_image at http://127.*answered 400: Only one file expected$"
        ) as raised:
            await session.infer(media / "0.png")
        assert raised.value.status == 400
        assert stub.asked.count("inference_image") == 1


async def test_a_server_that_is_down_costs_little() -> None:
    began = time.perf_counter()
    with pytest.raises(SessionError, match=r"cannot be reached.*is it running.*after \d+ attempts") as raised:
        async with Session("http://127.0.0.1:9", connect_timeout=0.2, backoff=QUICK):
            pass
    assert time.perf_counter() - began < 2
    assert raised.value.may_pass


async def test_a_server_that_says_nothing_is_given_up(media: Path) -> None:
    async with supervisely_stub.serving() as stub:
        async with Session(stub.url, timeout=0.1, result_timeout=0.1, backoff=QUICK) as session:
            stub.media, stub.may_infer = {4: media / "v.mp4"}, anyio.Event()
            with pytest.raises(SessionError, match=r"no new result for 0\.1 s"):
                async with session.infer_video(4) as results:
                    await anext(results)
        stub.may_infer.set()
    async with serve_silence() as url:
        with pytest.raises(SessionError, match=r"get_session_info at http://127.*: no answer within 0\.1 s"):
            await Session(url, timeout=0.1).open()


@asynccontextmanager
async def serve_silence() -> AsyncIterator[str]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener:
        host, port = listener.extra(anyio.abc.SocketAttribute.local_address)
        yield f"http://{host}:{port}"


async def test_many_pictures_are_answered_with_a_list(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.refuse = lambda _: web.Response(body=b"5")
        with pytest.raises(SessionError, match="expected a list"):
            await session.infer_many([media / "0.png"])


async def test_settings_that_are_updated_at_once_are_all_kept() -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(session.update_settings, conf=0.3))
        tasks.start_soon(partial(session.update_settings, augment=True))
    assert session.settings == {"conf": 0.3, "augment": True}


async def test_a_video_that_is_closed_while_it_starts_is_stopped(media: Path) -> None:
    async with supervisely_stub.serving() as stub, Session(stub.url, backoff=QUICK) as session:
        stub.media, stub.may_infer = {4: media / "v.mp4"}, anyio.Event()
        results = session.infer_video(4)
        has_come = anyio.Event()
        stub.refuse = lambda method: has_come.set() if method == "inference_video_id_async" else None
        async with anyio.create_task_group() as tasks:

            async def start() -> None:
                with pytest.raises(SessionError, match="has been closed"):
                    await anext(results)

            tasks.start_soon(start)
            await has_come.wait()
            await results.aclose()
        assert stub.asked[-2:] == ["stop_inference", "clear_inference_request"]
        stub.may_infer.set()


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"classes": 5}'])
async def test_what_is_no_served_model_is_said(answer: bytes) -> None:
    async with supervisely_stub.serving() as stub:
        stub.refuse = lambda _: web.Response(body=answer)
        with pytest.raises(SessionError, match="malformed answer"):
            await Session(stub.url).open()


async def test_an_answer_that_is_not_http_does_not_tell_the_token() -> None:
    async def babble(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/9 nonsense\r\nbad header\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, babble)
        host, port = listener.extra(anyio.abc.SocketAttribute.local_address)
        with pytest.raises(SessionError, match="no answer of HTTP") as raised:
            await Session(f"http://{host}:{port}", token="s3cr3t", timeout=0.1).open()
        tasks.cancel_scope.cancel()
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "ftp://host", "http://", "http://user:pw@host", "http://host/?q=1", "http://h:x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="session: ") as raised:
        Session(url)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", False),
        ("http://localhost", False),
        ("http://[::1]:8000", False),
        ("https://host/net/x", False),
        ("http://host", True),
        ("192.168.1.5:8000", True),
    ],
)
def test_it_is_known_who_could_read_a_token(url: str, expected: bool) -> None:
    assert read_address(url).is_readable_on_the_way is expected


def test_settings_that_are_none_are_refused(tmp_path: Path) -> None:
    from aiohooks.clients.session.settings import read_settings

    for text, said in [("- a", "expected settings by their names"), ("a: [", "this is not YAML"), ("\xff", "not text")]:
        file = tmp_path / "settings.yaml"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(SpecError, match=said):
            read_settings(file)
    with pytest.raises(SpecError, match="No such file"):
        read_settings(tmp_path / "none.yaml")
