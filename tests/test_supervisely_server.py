"""Supervisely's protocol over a real connection: what its SDK does not do, and what goes wrong."""

import io
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import cv2
import pytest
import served
import tiny_models
from aiohttp import web
from gated_model import gated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Server
from sources_fixtures import serve_camera, write_video

import aiohooks.server
from aiohooks.server import Limits
from aiohooks.server.supervisely import polling, work
from aiohooks.server.supervisely.media import id_of
from aiohooks.server.supervisely.public_address import is_public

pytestmark = pytest.mark.anyio

FRAMES = 12


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for index in range(2):
        image = tiny_models.picture(red=(8 + index, 4, 24, 20))
        cv2.imwrite(str(folder / f"{index}.png"), image[..., ::-1])
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "broken.mp4").write_bytes(b"no video")
    write_video(folder / "v.mp4", FRAMES)
    return folder


@pytest.fixture
async def server(media: Path) -> AsyncIterator[Server]:
    async with served.serving(tiny_models.detector(), media=media) as server:
        yield server


async def ask(server: Server, method: str, state: Any = None, **body: Any) -> Any:
    status, answer = await try_to(server, method, state, **body)
    assert status == 200, answer
    return answer


async def try_to(server: Server, method: str, state: Any = None, **body: Any) -> tuple[int, Any]:
    whole = {"state": state or {}, "context": {}, "api_token": None, **body}
    async with server.client.post(f"/{method}", json=whole) as answer:
        return answer.status, await answer.json()


def form(*files: tuple[str, bytes], **texts: str) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, content in files:
        data.add_field("files", content, filename=name)
    for name, text in texts.items():
        data.add_field(name, text)
    return data


async def job_of(server: Server, method: str, state: Any) -> str:
    identity: str = (await ask(server, method, state))["inference_request_uuid"]
    return identity


async def all_results(server: Server, identity: str) -> list[Any]:
    found: list[Any] = []
    while True:
        answer = await ask(server, "pop_inference_results", {"inference_request_uuid": identity})
        found += answer["pending_results"]
        if answer["finished"]:
            return found


async def test_a_job_of_pictures_says_which_they_are(server: Server) -> None:
    ids = [id_of("0.png"), id_of("1.png")]
    job = await job_of(server, "inference_batch_ids_async", {"images_ids": ids})
    found = await all_results(server, job)
    assert [each["image_id"] for each in found] == ids
    assert [each["image_name"] for each in found] == ["0.png", "1.png"]
    assert await ask(server, "get_inference_result", {"inference_request_uuid": job}) is None
    one = await job_of(server, "inference_image_id_async", {"image_id": ids[1]})
    assert [each["image_id"] for each in await all_results(server, one)] == ids[1:]
    status = await ask(server, "get_inference_status", {"inference_request_uuid": one})
    assert (status["stage"], status["progress"]["total"]) == ("Finished", 1)
    assert (await ask(server, "get_preparing_progress", {"inference_request_uuid": one}))["status"] == "Finished"


async def test_the_progress_of_a_single_picture_is_told_with_its_result(media: Path) -> None:
    """A client takes a total of 1 for a job that has not begun, and would ask again after a second."""
    deployment, model = gated(is_open=False)
    async with served.serving(deployment, media=media) as server:
        job = await job_of(server, "inference_image_id_async", {"image_id": id_of("0.png")})
        await model.begins(0)
        told: list[dict[str, Any]] = []
        async with anyio.create_task_group() as tasks:

            async def progress() -> None:
                told.append(await ask(server, "get_inference_progress", {"inference_request_uuid": job}))

            tasks.start_soon(progress)
            await served.until(lambda: server.app[aiohooks.server.TALLY].under_way == 1)
            model.gate(0).set()
        assert (told[0]["pending_results"], told[0]["progress"]["total"]) == (1, 1)


async def test_a_video_at_once(server: Server) -> None:
    state = {"videoId": id_of("v.mp4"), "startFrameIndex": 3, "framesCount": 2, "settings": {"classes": ["red"]}}
    found = (await ask(server, "inference_video_id", state))["ann"]
    assert [(each["frame_index"], each["video_id"]) for each in found] == [(3, id_of("v.mp4")), (4, id_of("v.mp4"))]
    assert {item["classTitle"] for each in found for item in each["annotation"]["objects"]} == {"red"}


async def test_a_server_tells_what_it_is(server: Server) -> None:
    assert await ask(server, "is_ready") == {"status": "ready"}
    assert await ask(server, "is_deployed") == {"deployed": True}
    status = await ask(server, "get_status")
    assert (status["is_deployed"], status["progress"]["message"]) == (True, "Ready")
    assert await ask(server, "get_tracking_settings") == {"botsort": {}}
    for nothing in ("list_pretrained_models", "list_pretrained_model_infos", "get_deploy_settings"):
        assert await ask(server, nothing) == []
    assert "not frozen" in (await ask(server, "freeze_model"))["message"]
    assert await ask(server, "get_model_meta") == await ask(server, "get_output_classes_and_tags")
    assert set(await ask(server, "get_deploy_info")) == {
        "checkpoint_name", "model_name", "architecture", "checkpoint_url", "custom_checkpoint_path", "model_source",
        "task_type", "device", "runtime", "model_precision", "hardware", "deploy_params",
    }  # fmt: skip
    async with server.client.post("/net/tiny/get_session_info", json={}) as answer:
        assert (await answer.json())["session_id"] == "tiny"
    async with server.client.post("/net/other/get_session_info", json={}) as answer:
        assert answer.status == 404


async def test_a_video_that_does_not_say_its_length_is_counted(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohooks.sources.video_file import VideoFile

    monkeypatch.setattr(VideoFile, "announced", None)
    async with served.serving(tiny_models.detector(), media=media) as server:
        state = {"video_id": id_of("v.mp4"), "direction": "backward"}
        job = await job_of(server, "inference_video_id_async", state)
        progress = await ask(server, "get_inference_progress", {"inference_request_uuid": job})
        assert progress["progress"]["total"] == FRAMES
        assert [each["frame_index"] for each in await all_results(server, job)] == list(range(FRAMES))[::-1]


async def test_same_names_in_two_folders_are_two_pictures(server: Server, media: Path) -> None:
    pictures = [("a/x.png", (media / "0.png").read_bytes()), ("b/x.png", (media / "1.png").read_bytes())]
    for method in ("inference_batch", "inference_batch_async"):
        async with server.client.post(f"/{method}", data=form(*pictures)) as answer:
            assert answer.status == 200
            found = await answer.json()
        if method.endswith("async"):
            found = await all_results(server, found["inference_request_uuid"])
        corners = [each["annotation"]["objects"][0]["points"]["exterior"][0] for each in found]
        assert corners == [[8, 4], [9, 4]]


async def test_results_can_be_asked_for_again(server: Server) -> None:
    job = await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})
    state = {"inference_request_uuid": job, "first_result": 0}
    while True:
        answer = await ask(server, "pop_inference_results", state)
        again = await ask(server, "pop_inference_results", state)
        count = len(answer["pending_results"])
        assert again["pending_results"][:count] == answer["pending_results"]
        state["first_result"] = answer["next_result"]
        if answer["finished"]:
            break
    assert state["first_result"] == FRAMES


async def test_more_results_than_fit_into_an_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "RESULTS_AT_ONCE", 5)
    monkeypatch.setattr(work, "MAX_RESULTS", 3)
    job = await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})
    assert [each["frame_index"] for each in await all_results(server, job)] == list(range(FRAMES))


async def test_whoever_does_not_want_to_wait_is_answered_at_once(media: Path) -> None:
    deployment, _ = gated(is_open=False)
    async with served.serving(deployment, media=media) as server:
        job = await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})
        for wait in (0, 0.01):
            state = {"inference_request_uuid": job, "wait_seconds": wait}
            answer = await ask(server, "pop_inference_results", state)
            assert (answer["pending_results"], answer["is_inferring"], answer["progress"]["total"]) == (
                [],
                True,
                FRAMES,
            )
        assert (await try_to(server, "pop_inference_results", state | {"wait_seconds": "long"}))[0] == 400


async def test_a_stop_wakes_who_waits_for_results(media: Path) -> None:
    deployment, model = gated(is_open=False)
    async with served.serving(deployment, media=media) as server:
        job = {"inference_request_uuid": await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})}
        await model.begins(0)
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                answer = await ask(server, "pop_inference_results", job)
                assert (answer["finished"], answer["stopped"], answer["stage"]) == (True, True, "Cancelled")

            tasks.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            assert await ask(server, "stop_inference", job) == {
                "message": "Inference will be stopped.",
                "success": True,
            }
        assert await ask(server, "clear_inference_request", job) == {"success": True}
        for method in ("stop_inference", "clear_inference_request", "get_inference_progress"):
            await ask(server, method, job)  # clients ask on


async def test_the_server_stops_with_jobs_at_work(media: Path) -> None:
    deployment, model = gated(is_open=False)
    with anyio.fail_after(10):
        async with served.serving(deployment, media=media) as server:
            await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})
            await model.begins(0)
    assert model.was_cancelled.is_set()


async def test_uploads_leave_nothing_behind(
    server: Server, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    video = (media / "v.mp4").read_bytes()
    async with server.client.post("/inference_video_async", data=form(("../../v.mp4", video))) as answer:
        job = (await answer.json())["inference_request_uuid"]
    assert len(await all_results(server, job)) == FRAMES
    for files in [(("x.mp4", b"nothing"),), (("a.mp4", video), ("b.mp4", video)), ()]:
        async with server.client.post("/inference_video_async", data=form(*files, state="{}")) as answer:
            assert 400 <= answer.status < 500
            assert files != (("x.mp4", b"nothing"),) or "video x.mp4: not a video" in (await answer.json())["error"]
    assert [path async for path in anyio.Path(tmp_path).iterdir()] == []
    assert (server.serving.first.jobs.running, server.serving.uploads.held_bytes) == (0, 0)


async def test_uploads_of_all_jobs_share_the_disk(media: Path) -> None:
    """A job's files are there until it has ended."""
    deployment, _ = gated(is_open=False)
    video = (media / "v.mp4").read_bytes()
    limits = Limits(uploads_bytes=len(video) + 100)
    async with served.serving(deployment, media=media, limits=limits) as server:
        async with server.client.post("/inference_video_async", data=form(("v.mp4", video))) as answer:
            job = (await answer.json())["inference_request_uuid"]
        async with server.client.post("/inference_video_async", data=form(("v.mp4", video))) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert "other uploads" in (await answer.json())["error"]
        assert (await server.metrics())["aiohooks_upload_bytes"] == len(video)
        await ask(server, "stop_inference", {"inference_request_uuid": job})
        await served.until(lambda: not server.serving.uploads.held_bytes)
        async with server.client.post("/inference_video_async", data=form(("v.mp4", video))) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("method", ["inference_image", "inference_image_id", "inference_video_async"])
async def test_a_form_that_drips_is_given_up(media: Path, method: str) -> None:
    """A byte now and then is not enough: there is a time for the whole."""
    form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    head = f"POST /{method} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n"
    is_kept_on_disk = method.endswith("async")
    limits = Limits(body_seconds=0.3) if is_kept_on_disk else Limits(request_seconds=0.3)
    async with served.serving(tiny_models.detector(), limits=limits) as server:
        port = int(server.url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as client, anyio.create_task_group() as tasks:
            await client.send(head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + form)

            async def drip() -> None:
                while True:
                    await client.send(b"x")
                    await anyio.sleep(0.05)

            tasks.start_soon(drip)
            with anyio.fail_after(10):
                answer = await client.receive()
            tasks.cancel_scope.cancel()
        assert b" 408 " in answer.partition(b"\r\n")[0]
        assert b"too slowly" in answer
        await served.until(lambda: not server.serving.first.jobs.running)
        assert (server.serving.bodies.held_bytes, server.serving.uploads.held_bytes) == (0, 0)


async def test_jobs_are_limited_and_take_no_places_of_streams(media: Path) -> None:
    deployment, model = gated(is_open=False)
    async with (
        served.serving(deployment, media=media, limits=Limits(streams=1, jobs=1)) as server,
        server.client.ws_connect(f"/deployments/{deployment.name}/live"),
    ):
        await served.until(lambda: server.serving.first.streams.running == 1)
        job = await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})
        await model.begins(0)
        status, answer = await try_to(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})
        assert status == 503, answer
        await ask(server, "stop_inference", {"inference_request_uuid": job})
        await ask(server, "pop_inference_results", {"inference_request_uuid": job})
        await job_of(server, "inference_video_id_async", {"video_id": id_of("v.mp4")})


async def test_a_video_at_once_stops_when_its_client_leaves(media: Path) -> None:
    deployment, model = gated(is_open=False)
    async with served.serving(deployment, media=media) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(try_to, server, "inference_video_id", {"video_id": id_of("v.mp4")})
            await model.begins(0)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            await model.was_cancelled.wait()


async def test_pictures_by_url_only_where_it_is_allowed(server: Server, media: Path) -> None:
    status, answer = await try_to(server, "inference_image_url", {"image_url": "http://127.0.0.1:9/x.png"})
    assert (status, answer["error"]) == (403, "this server does not fetch pictures; send the picture itself")

    async def show(response: web.StreamResponse) -> None:
        await response.write((media / "0.png").read_bytes())

    async with (
        served.serving(
            tiny_models.detector(), allow_url_fetch=["127.0.0.1", "LOCALHOST"], limits=Limits(body_bytes=400)
        ) as open_server,
        serve_camera(show, status=302, headers={"Location": "http://127.0.0.1:9/"}) as redirecting,
        serve_camera(show, headers={"Content-Type": "image/png"}) as camera,
    ):
        assert (await try_to(open_server, "inference_image_url", {"image_url": camera.url}))[0] == 200
        for url, said in [
            (redirecting.url, "answered 302"),
            ("http://127.0.0.1:9/x.png", "no answer from there"),
            ("file:///etc/passwd", "expected a URL"),
            ("http://", "no address"),
            ("http://[", "no address"),
            (5, "expected a URL"),
            (None, "expected a URL"),
        ]:
            status, answer = await try_to(open_server, "inference_image_url", {"image_url": url})
            assert status == 400
            assert said in answer["error"]

        async def flood(response: web.StreamResponse) -> None:
            for _ in range(100):
                await response.write(bytes(100))

        async with serve_camera(flood) as large:
            assert (await try_to(open_server, "inference_image_url", {"image_url": large.url}))[0] == 413
        status, answer = await try_to(open_server, "inference_image_url", {"image_url": "http://example.org/x.png"})
        assert (status, answer["error"][:24]) == (403, "image_url: this server d")


async def test_a_large_state_is_refused_or_read_beside_the_loop(server: served.Server) -> None:
    async with server.client.post("/inference_image_id", data=io.BytesIO(bytes(2**21 + 1))) as refused:
        assert refused.status == 413
        assert "the JSON of a request may have 2097152 bytes" in await refused.text()
    status, answer = await try_to(server, "inference_image_id", {"image_id": [0] * 100_000})
    assert (status, answer["error"].partition(", ")[2]) == (400, "got a list of 100000")


async def test_an_upload_for_which_the_disk_has_no_room(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    open_file = anyio.open_file
    monkeypatch.setattr(anyio, "open_file", lambda *_: open_file("/dev/full", "wb"))
    for method in ("inference_video_async", "inference_batch_async"):
        async with server.client.post(f"/{method}", data=form(("v.mp4", bytes(100_000)))) as answer:
            assert (answer.status, await answer.json()) == (
                507,
                {"error": "there is no room on the disk for this upload"},
            )


async def test_pictures_are_read_when_there_is_a_place_for_them(media: Path) -> None:
    asked = []

    async def show(response: web.StreamResponse) -> None:
        asked.append(response)
        await response.write((media / "0.png").read_bytes())

    deployment, model = gated(is_open=False)
    async with (
        served.serving(deployment, media=media, allow_url_fetch=["127.0.0.1"], limits=Limits(running=1)) as server,
        serve_camera(show, headers={"Content-Type": "image/png"}) as camera,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, server, "inference_image_id", {"image_id": id_of("0.png")})
        await model.begins(0)
        tasks.start_soon(ask, server, "inference_image_url", {"image_url": camera.url})
        await served.until(lambda: server.serving.find("gated").admission.waiting == 1)
        assert not asked
        model.gate(0).set()
        await served.until(lambda: len(asked) == 1)


async def test_pictures_of_the_server_are_counted_as_bodies_are(media: Path) -> None:
    size = (media / "0.png").stat().st_size
    ids = {"batch_ids": [id_of("0.png"), id_of("1.png")]}
    limits = Limits(body_bytes=size - 1)
    async with served.serving(tiny_models.detector(), media=media, limits=limits) as server:
        for method, state in (("inference_image_id", {"image_id": id_of("0.png")}), ("inference_batch_ids", ids)):
            status, answer = await try_to(server, method, state)
            assert (status, answer["error"][:18]) == (413, "a picture may have")
        assert server.serving.bodies.held_bytes == 0
    async with served.serving(tiny_models.detector(), media=media) as server:
        held, hold = [], server.serving.bodies.hold

        def held_now(count: int, **options: Any) -> Any:
            held.append((server.serving.bodies.held_bytes, count))
            return hold(count, **options)

        server.serving.bodies.hold = held_now
        assert (await try_to(server, "inference_batch_ids", ids))[0] == 200
        assert [count for _, count in held] == [size, (media / "1.png").stat().st_size]
        assert held[0][0] == held[1][0]  # the first is let go before the second is read
        assert server.serving.bodies.held_bytes == 0


HOSTS_INSIDE = [
    *("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"),
    *(
        "１２７.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127.0.0.1.",
        "ｌocalhost",
        "%31%32%37.0.0.1",
        "[::1%25lo]",
        "x@127.0.0.1",
    ),
]


async def test_a_url_does_not_lead_inside() -> None:
    asked = []

    async def show(response: web.StreamResponse) -> None:
        asked.append(response)

    async with served.serving(tiny_models.detector(), allow_url_fetch=True) as server, serve_camera(show) as camera:
        port = camera.url.split(":")[2].split("/")[0]
        for host in HOSTS_INSIDE:
            status, answer = await try_to(server, "inference_image_url", {"image_url": f"http://{host}:{port}/x.png"})
            assert status in (400, 403), (host, answer)
    assert not asked


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        *((each, False) for each in (
            "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "255.255.255.255",
            "100.64.0.1", "192.0.0.8", "224.0.0.1", "240.0.0.1", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fc00::1",
            "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "ff02::1", "::127.0.0.1", "example.org", "",
        )),
    ],
)  # fmt: skip
def test_only_public_addresses_are_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


MISTAKES: list[tuple[str, Any, int, str]] = [
    ("inference_image_id", {}, 400, "image_id: is missing"),
    ("inference_image_id", {"image_id": "1"}, 400, "image_id: expected a whole number"),
    ("inference_image_id", {"image_id": 1}, 404, "no picture of id 1"),
    ("inference_image_id", {"image_id": id_of("v.mp4")}, 404, "no picture"),
    ("inference_image_id", {"image_id": id_of("broken.png")}, 400, "broken.png: not a picture"),
    ("inference_image_id", {"image_id": id_of("0.png"), "upload": True}, 400, "does not upload results"),
    ("inference_image_id", {"image_id": id_of("0.png"), "settings": {"conf": 7}}, 400, "settings.conf"),
    ("inference_batch_ids", {"batch_ids": []}, 400, "expected a list of ids"),
    ("inference_batch_ids", {"batch_ids": [id_of("0.png"), id_of("broken.png")]}, 400, "picture 1: broken.png"),
    ("inference_batch_ids", {"batch_ids": [1] * 300}, 413, "may have 256 ids"),
    ("inference_batch_ids_async", {"images_ids": [1]}, 404, "no picture of id 1"),
    ("inference_video_id", {"videoId": id_of("broken.mp4")}, 400, "broken.mp4: not a video"),
    ("inference_video_id_async", {"videoId": id_of("v.mp4"), "startFrameIndex": 99}, 400, "the video has 12 frames"),
    ("inference_video_id_async", {"videoId": id_of("v.mp4"), "tracker": "botsort"}, 400, "does not track"),
    ("inference_video_id_async", {"videoId": id_of("v.mp4"), "stride": 0}, 400, "stride: expected"),
    ("inference_video_id_async", {}, 400, "videoId: is missing"),
    ("inference_project_id_async", {"projectId": 1}, 400, "no projects"),
    ("run_speedtest", {"projectId": 1, "batch_size": 2}, 400, "no projects"),
    ("tracking_by_detection", {}, 400, "does not track"),
    ("deploy_from_api", {"deploy_params": {}, "model_name": "m"}, 400, "start another one"),
    ("get_inference_progress", {}, 400, "inference_request_uuid: is missing"),
    ("pop_inference_results", {"inference_request_uuid": "x"}, 404, "there is no job 'x'"),
    ("stop_inference", {"inference_request_uuid": {}}, 404, "there is no job"),
    ("no_such_method", {}, 404, "nothing at this address"),
]


async def test_mistakes_are_said(server: Server, media: Path) -> None:
    for method, state, status, said in MISTAKES:
        found, answer = await try_to(server, method, state)
        assert found == status, (method, state, answer)
        assert said in answer["error"]
        assert str(media) not in answer["error"]


async def test_an_error_in_a_job_of_pictures_names_the_picture(server: Server) -> None:
    ids = [id_of("0.png"), id_of("broken.png"), id_of("1.png")]
    job = await job_of(server, "inference_batch_ids_async", {"images_ids": ids})
    state = {"inference_request_uuid": job}
    while not (await ask(server, "get_inference_progress", state))["finished"]:
        pass
    before = await ask(server, "pop_inference_results", state)
    # The SDK looks at no result that comes with an error.
    assert ([each["image_id"] for each in before["pending_results"]], before["exception"]) == (ids[:1], None)
    first = await ask(server, "pop_inference_results", state)
    assert first["exception"]["type"] == "FrameError"
    assert first["exception"]["message"].startswith("picture 1: broken.png: not a picture")
    assert (first["stage"], first["finished"], first["is_inferring"]) == ("Error", True, False)


async def test_forms_that_are_none_are_refused(server: Server) -> None:
    picture = ("a.png", served.png(red=255))
    for data, said in [
        (form(settings="{}"), "no part 'files'"),
        (form(picture, settings="{"), "settings: this is not JSON"),
        (form(picture, state="[]"), "state: expected an object"),
        (form(picture, picture), "expected one file, got 2"),
        (form(("a.png", b"")), "a.png: it is empty"),
    ]:
        async with server.client.post("/inference_image", data=data) as answer:
            assert answer.status == 400
            assert said in (await answer.json())["error"]
    async with server.client.post("/inference_image", data=b"{}") as answer:
        assert answer.status == 415
    async with server.client.post("/inference_batch", data=form(*[picture] * 300)) as answer:
        assert answer.status == 413


async def test_pictures_with_too_many_pixels_are_refused(media: Path) -> None:
    async with served.serving(tiny_models.detector(), media=media, limits=Limits(pixels=1000)) as server:
        for method, state in [
            ("inference_image_id", {"image_id": id_of("0.png")}),
            ("inference_video_id_async", {"video_id": id_of("v.mp4")}),
        ]:
            status, answer = await try_to(server, method, state)
            assert status == 400
            assert "more than the limit of 1,000" in answer["error"]


async def test_uploads_are_limited(media: Path) -> None:
    video = (media / "v.mp4").read_bytes()
    async with served.serving(tiny_models.detector(), limits=Limits(upload_bytes=len(video) - 1)) as server:
        async with server.client.post("/inference_video_async", data=form(("v.mp4", video))) as answer:
            assert answer.status == 413
        assert await (await server.client.get("/media")).json() == []


def values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )


KEYS = ["settings", "image_id", "batch_ids", "images_ids", "videoId", "startFrameIndex", "framesCount", "stride", "duration",
        "direction", "tracker", "inference_request_uuid", "first_result", "wait_seconds", "image_url", "upload"]  # fmt: skip
METHODS = ["get_session_info", "inference_image", "inference_image_id", "inference_batch_ids", "inference_batch_ids_async",
           "inference_video_id_async", "inference_video_id", "pop_inference_results", "get_inference_progress",
           "stop_inference", "inference_image_url", "get_custom_inference_settings", "is_ready"]  # fmt: skip


async def test_no_body_makes_the_server_fail(server: Server) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def gather(data: st.DataObject) -> None:
        state = data.draw(st.dictionaries(st.sampled_from(KEYS), values(), max_size=4) | values())
        body = data.draw(st.sampled_from([json.dumps({"state": state}).encode(), json.dumps(state).encode(), b"\xff{"]))
        asked.append((data.draw(st.sampled_from(METHODS)), body))

    asked: list[tuple[str, bytes]] = []
    await anyio.to_thread.run_sync(gather)
    for method, body in asked:
        async with server.client.post(f"/{method}", data=body) as answer:
            assert answer.status < 500, (method, body, await answer.text())
    assert len(asked) >= 60
    assert await ask(server, "is_ready") == {"status": "ready"}
