"""Our own protocol over real sockets."""

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import numpy as np
import pytest
import served
import tiny_models
from aiohttp import WSMsgType, web
from sources_fixtures import write_video

import aiohooks as ah
import aiohooks.server
from aiohooks.server import Limits
from aiohooks.server.long_work import take_long
from aiohooks.server.native import result_json

pytestmark = pytest.mark.anyio

RED = served.png(red=255)
COLOURS = ("red", "green", "blue")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return served.colours(tmp_path)


def labels_of(told: dict[str, Any]) -> list[str]:
    return [label["name"] for annotation in told["prediction"]["annotations"] for label in annotation["labels"]]


async def lines_of(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/x-ndjson"
    return [json.loads(line) for line in (await answer.read()).splitlines()]


def form_of(pictures: list[bytes]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for index, picture in enumerate(pictures):
        form.add_field("files", picture, filename=f"../{index}.png")
    return form


async def test_a_picture_is_answered_with_what_infer_says(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.detector(), tmp_path / "boxes.xml")
    picture = served.png(tiny_models.picture(red=(8, 4, 24, 20), blue=(30, 30, 50, 60)))
    async with served.serving(path) as server:
        local = await server.deployment.infer(picture)
        async with server.client.post("/deployments/boxes/infer", data=picture) as answer:
            told = await answer.json()
    assert told == {"task": "detection", "size": [64, 64], "prediction": local.to_geti()}
    assert (
        ah.Prediction.from_geti(told["prediction"], size=(64, 64)).label_names == local.label_names == ("red", "blue")
    )


async def test_deployments_say_what_they_are(model: Path) -> None:
    async with served.serving(model) as server:
        async with server.client.get("/deployments") as answer:
            (listed,) = await answer.json()
        async with server.client.get("/deployments/colours") as answer:
            told = await answer.json()
    assert told == listed
    assert (told["name"], told["task"], told["hooks"]) == ("colours", "classification", [])
    assert [label["name"] for label in told["labels"]] == list(COLOURS)
    assert told["model"]["outputs"] == [{"name": "logits", "shape": [1, 3], "dtype": "f32"}]


async def test_hooks_see_what_clients_send(model: Path) -> None:
    seen = []

    async def keep(event: ah.HookEvent) -> None:
        seen.append((event.frame.name, event.frame.encoded))

    async with served.serving(model) as server:
        server.deployment.add_hook(ah.PostInferenceHook(trigger=ah.AlwaysTrigger(), action=keep))
        async with server.client.post(
            "/deployments/colours/infer?name=%2e%2e/%00etc/pass\\wd%0a.png", data=RED
        ) as answer:
            assert answer.status == 200
        await server.deployment.drained()
    assert seen == [("wd.png", RED)]


async def test_a_form_of_pictures_is_answered_line_by_line(model: Path) -> None:
    pictures = [served.png(**{colour: 255}) for colour in COLOURS * 5]
    pictures[7] = b"not a picture"
    async with served.serving(model) as server:
        async with server.client.post("/deployments/colours/stream", data=form_of(pictures)) as answer:
            *told, end = await lines_of(answer)
        assert server.serving.bodies.held_bytes == 0
    assert [one["index"] for one in told] == list(range(15))
    assert "not a picture" in told[7].pop("error")
    assert end == {"end": True, "frames": 15, "failed": 1}
    for index, one in enumerate(told):
        if index != 7:
            assert (one["name"], labels_of(one)) == (f"{index}.png", [COLOURS[index % 3]])


async def test_results_come_before_the_next_picture_is_sent(model: Path) -> None:
    """A client that waits for each result before it sends the next picture is not kept waiting."""
    arrived = [anyio.Event() for _ in range(6)]

    async def body() -> AsyncIterator[bytes]:
        yield b"--frame"
        for event in arrived[1:]:
            yield b"\r\nContent-Type: image/png\r\n\r\n" + RED + b"\r\n--frame"
            await event.wait()
        yield b"--\r\n"

    async with served.serving(model) as server:
        headers = {"Content-Type": "multipart/mixed; boundary=frame"}
        with anyio.fail_after(20):
            async with server.client.post("/deployments/colours/stream", data=body(), headers=headers) as answer:
                numbers = []
                async for line in answer.content:
                    numbers.append(json.loads(line).get("index"))
                    arrived[len(numbers)].set() if len(numbers) < 6 else None
    assert numbers == [0, 1, 2, 3, 4, None]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [("", list(range(9))), ("start=2&end=8&stride=3", [2, 5]), ("stride=4&backwards=true", [8, 4, 0])],
)
async def test_a_video_is_answered_frame_by_frame(model: Path, tmp_path: Path, query: str, numbers: list[int]) -> None:
    video = write_video(tmp_path / "in.mp4", 9).read_bytes()
    async with served.serving(model) as server:
        headers = {"Content-Type": "video/mp4"}
        async with server.client.post(f"/deployments/colours/stream?{query}", data=video, headers=headers) as answer:
            *told, end = await lines_of(answer)
    assert [one["frame"] for one in told] == numbers
    assert end == {"end": True, "frames": len(numbers), "failed": 0}


@pytest.mark.parametrize(
    "query", ["start=-1", "start=x", "end=0", "start=5&end=5", "stride=0", "backwards=maybe", "form=xml"]
)
async def test_what_cannot_be_asked_of_a_video_is_the_clients_mistake(model: Path, query: str) -> None:
    async with served.serving(model) as server:
        headers = {"Content-Type": "video/mp4"}
        async with server.client.post(f"/deployments/colours/stream?{query}", data=b"x", headers=headers) as answer:
            assert answer.status == 400
            assert query.partition("=")[0] in (await answer.json())["error"] or query == "start=5&end=5"


async def test_a_video_that_is_none_ends_with_an_error(model: Path) -> None:
    async with served.serving(model) as server:
        headers = {"Content-Type": "video/mp4"}
        async with server.client.post("/deployments/colours/stream", data=b"no video" * 100, headers=headers) as answer:
            told = await lines_of(answer)
    assert told[-1] == {"end": True, "frames": 1, "failed": 1}
    assert "/tmp" not in str(told)
    assert "video" in told[0]["error"]


async def test_a_socket_answers_in_order_and_says_what_was_no_picture(model: Path) -> None:
    async with served.serving(model) as server, server.client.ws_connect("/deployments/colours/live") as socket:
        for index in range(30):
            await socket.send_bytes(served.png(**{COLOURS[index % 3]: 255}))
        await socket.send_str("hello")
        await socket.send_bytes(b"no picture")
        told = [await socket.receive_json(timeout=20) for _ in range(32)]
    assert [one["index"] for one in told] == list(range(32))
    assert [labels_of(one) for one in told[:30]] == [[COLOURS[index % 3]] for index in range(30)]
    assert "expected an encoded picture" in told[30]["error"]
    assert "not a picture" in told[31]["error"]


async def test_a_socket_whose_client_reads_nothing_stops_taking_frames(model: Path) -> None:
    """Back-pressure: what the client has not read fills the buffers of both ends and then keeps it from sending."""
    big = served.encoded(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8), ".bmp")
    async with served.serving(model) as server, server.client.ws_connect("/deployments/colours/live") as socket:
        sent = 0
        with anyio.move_on_after(1.0):
            while sent < 5000:
                await socket.send_bytes(big)
                sent += 1
        # Some megabytes of buffers; its results, of 300 bytes each, would take 16,000 frames to fill them.
        (stream,) = server.deployment._streams
        assert stream.in_flight <= 2 * server.deployment.model.slots
        socket._response.close()  # leaves without a word
        await served.until(lambda: not server.serving.find("colours").streams.running)


async def test_a_socket_whose_client_takes_no_results_is_left(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_stuck(*_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(web.WebSocketResponse, "send_str", is_stuck)
    async with (
        served.serving(model, limits=Limits(body_seconds=0.05)) as server,
        server.client.ws_connect("/deployments/colours/live") as socket,
    ):
        await socket.send_bytes(RED)
        with anyio.fail_after(20):
            message = await socket.receive()
            await served.until(lambda: not server.serving.find("colours").streams.running)
    assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
    assert message.data != 1000


async def test_too_large_a_message_closes_the_socket(model: Path) -> None:
    async with (
        served.serving(model, limits=Limits(message_bytes=1000)) as server,
        server.client.ws_connect("/deployments/colours/live") as socket,
    ):
        await socket.send_bytes(RED)
        assert labels_of(await socket.receive_json()) == ["red"]
        await socket.send_bytes(bytes(1001))
        message = await socket.receive()
        while message.type is WSMsgType.TEXT:
            message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)


async def test_sockets_are_told_that_the_server_ends_after_their_last_result(model: Path) -> None:
    async with served.serving(model) as server, server.client.ws_connect("/deployments/colours/live") as socket:
        await socket.send_bytes(RED)
        first = await socket.receive_json()
        server.serving.drain()
        end = await socket.receive_json()
        message = await socket.receive()
    assert labels_of(first) == ["red"]
    assert end == {"end": True, "frames": 1, "failed": 0}
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_only_so_many_streams_at_once(model: Path) -> None:
    async with served.serving(model, limits=Limits(streams=1)) as server:
        async with server.client.ws_connect("/deployments/colours/live") as socket:
            await socket.send_bytes(RED)
            await socket.receive_json()
            async with server.client.post("/deployments/colours/stream", data=form_of([RED])) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) >= 1
        await served.until(lambda: not server.deployment._streams)
        async with server.client.post("/deployments/colours/stream", data=form_of([RED])) as answer:
            assert (await lines_of(answer))[-1]["frames"] == 1


async def test_a_socket_that_its_client_closes_is_done_and_one_that_breaks_is_left(model: Path) -> None:
    async with served.serving(model) as server:
        for leave in (lambda socket: socket.close(), lambda socket: anyio.lowlevel.checkpoint()):
            async with server.client.ws_connect("/deployments/colours/live") as socket:
                await socket.send_bytes(RED)
                await socket.receive_json()
                await leave(socket)
                socket._response.close()
            await served.until(lambda: not server.serving.find("colours").streams.running)
        tally = server.app[aiohooks.server.TALLY]
        await served.until(lambda: not tally.under_way)
        assert tally.requests == {("native", "colours", 101): 1, ("native", "colours", 499): 1}


async def test_a_socket_that_brings_nothing_gives_its_place_back(model: Path) -> None:
    async with (
        served.serving(model, limits=Limits(idle_seconds=0.2)) as server,
        server.client.ws_connect("/deployments/colours/live", autoping=True) as socket,
    ):
        for _ in range(3):
            await socket.send_bytes(RED)
            assert labels_of(await socket.receive_json()) == ["red"]
        await socket.ping()  # this is not a picture
        assert await socket.receive_json() == {"error": "no message came in 0.2 s"}
        assert await socket.receive_json() == {"end": True, "frames": 3, "failed": 1}
        assert (await socket.receive()).type is WSMsgType.CLOSE
        await served.until(lambda: not server.serving.find("colours").streams.running)


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=b", "video/mp4"])
async def test_a_stream_that_drips_gives_its_place_back(model: Path, kind: str) -> None:
    """A byte now and then is not enough: a picture, and a video, have to come in time as a whole."""
    limits = Limits(idle_seconds=0.3) if kind.startswith("multipart") else Limits(body_seconds=0.3, upload_rate=1000)

    async def drip() -> AsyncIterator[bytes]:
        yield b"--b\r\n\r\n"
        while True:
            yield b"x"
            await anyio.sleep(0.05)

    async with served.serving(model, limits=limits) as server:
        headers = {"Content-Type": kind}
        with anyio.fail_after(10):
            async with server.client.post("/deployments/colours/stream", data=drip(), headers=headers) as answer:
                assert (answer.status, "too slowly" in await answer.text()) == (408, True)
        await served.until(lambda: not server.serving.find("colours").streams.running)
        assert (server.serving.bodies.held_bytes, server.serving.uploads.held_bytes) == (0, 0)


async def test_the_loop_is_free_while_results_become_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere a prediction with masks is written, the loop beats meanwhile: writing waits for that beat."""
    loop, beats = asyncio.get_running_loop(), []

    def beating(write: Callable[[ah.Prediction], Any]) -> Callable[[ah.Prediction], Any]:
        def written(prediction: ah.Prediction) -> Any:
            beat = threading.Event()
            loop.call_soon_threadsafe(beat.set)
            beats.append(beat.wait(5))
            return write(prediction)

        return written

    for name in ("to_geti", "to_supervisely"):
        monkeypatch.setattr(ah.Prediction, name, beating(getattr(ah.Prediction, name)))
    monkeypatch.setattr(result_json, "FORMS", {"geti": ah.Prediction.to_geti})
    picture = served.png(tiny_models.picture(red=(8, 4, 40, 30), value=220))
    for make in (tiny_models.instance_segmenter, tiny_models.segmenter):
        path = tiny_models.save(make(), tmp_path / "model.xml")
        async with served.serving(path) as server:
            tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64encode(picture).decode()]}
            for address, body in [
                ("/deployments/model/infer", {"data": picture}),
                ("/deployments/model/stream", {"data": form_of([picture])}),
                ("/inference_image", {"data": form_of([picture])}),
                ("/inference_batch", {"data": form_of([picture])}),
                ("/v2/models/model/infer", {"json": {"inputs": [tensor]}}),
            ]:
                async with server.client.post(address, **body) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()
                assert beats == [True], address
                beats.clear()
            async with server.client.ws_connect("/deployments/model/live") as socket:
                await socket.send_bytes(picture)
                await socket.receive_json()
            assert beats == [True]
            beats.clear()


@pytest.mark.parametrize(
    ("kind", "is_long"),
    [({"boxes": 50}, False), ({"boxes": 51}, True), ({"boxes": 1, "masks": 1}, True), ({"label_map": 1}, True)],
)
def test_what_takes_long_goes_into_a_thread(kind: dict[str, int], is_long: bool) -> None:
    count = kind.get("boxes", 0)
    prediction = ah.Prediction(
        task=ah.Task.INSTANCE_SEGMENTATION if "masks" in kind else ah.Task.DETECTION,
        size=(8, 8),
        labels=(ah.Label(name="a"),),
        boxes=np.tile(np.float32([0, 0, 4, 4]), (count, 1)),
        scores=np.ones(count, np.float32),
        label_indices=np.zeros(count, np.int32),
        masks=np.ones((count, 8, 8), np.uint8) if "masks" in kind else None,
        label_map=np.zeros((8, 8), np.uint8) if "label_map" in kind else None,
    )
    assert take_long([prediction]) is is_long
    if count == 50:
        assert take_long([prediction] * 2)


async def test_a_form_that_breaks_off_is_told_after_what_came_before(model: Path) -> None:
    part = b"--b\r\nContent-Type: image/png\r\n\r\n" + RED + b"\r\n"
    cut = part * 2 + b"--b\r\nContent-Length: 500\r\n\r\nonly this"
    async with served.serving(model) as server:
        headers = {"Content-Type": "multipart/mixed; boundary=b"}
        async with server.client.post("/deployments/colours/stream", data=cut, headers=headers) as answer:
            *told, error, end = await lines_of(answer)
        assert server.serving.bodies.held_bytes == 0
    assert [labels_of(one) for one in told] == [["red"]] * 2
    assert "malformed" in error["error"]
    assert end == {"end": True, "frames": 2, "failed": 1}


@pytest.mark.parametrize("content_type", ["video/mp4", "multipart/mixed; boundary=b"])
async def test_too_large_an_upload_is_refused(model: Path, content_type: str) -> None:
    body = b"--b\r\n\r\n" + bytes(5000) + b"\r\n--b--\r\n"
    async with served.serving(model, limits=Limits(upload_bytes=1000, message_bytes=1000)) as server:
        headers = {"Content-Type": content_type}
        async with server.client.post("/deployments/colours/stream", data=body, headers=headers) as answer:
            assert answer.status in (400, 413)
            assert "1000 bytes" in (error := (await answer.json())["error"]) or "1,000 bytes" in error


async def test_a_client_that_takes_no_results_is_left(tmp_path: Path) -> None:
    """Its answer fills the buffers on the way; then nothing moves for as long as the limit says."""
    path = tiny_models.save(tiny_models.segmenter(), tmp_path / "model.xml")
    picture = served.png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    limits = Limits(body_seconds=0.2)
    part = b"--b\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture + b"\r\n"
    async with served.serving(path, limits=limits) as server:
        port = int(server.url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(
                b"POST /deployments/model/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n"
                b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            )
            with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(30):
                while True:
                    await client.send(part * 20)
        await served.until(lambda: not server.serving.find("model").streams.running)
