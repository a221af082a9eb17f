"""What HttpRequestAction sends, and what it makes of the answer. Every server here is a real one on loopback."""

import asyncio
import gzip
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import cv2
import msgspec
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.errors import ActionError, SpecError
from aiohooks.frame import Frame
from aiohooks.hooks.actions import HttpAnswer, HttpRequestAction
from aiohooks.hooks.event import HookEvent
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio

AT = datetime(2025, 1, 31, 12, 0, 0, 42, UTC)
NOISE = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
DOG = Prediction.detection((48, 64), ["cat", "dog"], [[4, 5, 30, 40]], [0.75], ["dog"])


def event(image: Any = NOISE, *, name: str = "cam", encoded: bytes | None = None) -> HookEvent:
    frame = Frame(image, name=name, index=7, timestamp=AT, encoded=encoded)
    return HookEvent(frame, DOG, score=0.625, scores={"LabelTrigger": 1.0}, hook="dogs", triggered_at=AT)


class Server:
    """Keeps what it was sent and answers what it was told to."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.connections: set[object] = set()
        self.answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.connections.add(request.transport)
        if self.answer is not None:
            return await self.answer(request)
        self.bodies.append(await request.content.read())
        return web.Response(text="ok")


def answering(**response: Any) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(**response)

    return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with RawTestServer(server.handle) as running:
        server.url = str(running.make_url("/events"))
        yield server


@asynccontextmanager
async def listening(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A TCP server that need not know HTTP."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/events"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_get_and_delete_carry_no_body_unless_asked(server: Server, method: Any) -> None:
    assert await HttpRequestAction(server.url, method)(event()) == HttpAnswer(200, "ok")
    assert [request.method for request in server.requests] == [method]
    assert server.bodies == [b""]
    assert "content-type" not in server.requests[0].headers
    await HttpRequestAction(server.url, method, include_prediction_data=True)(event())
    assert json.loads(server.bodies[1])["kind"] == "prediction"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_the_body_tells_the_event(server: Server, method: Any) -> None:
    await HttpRequestAction(server.url, method, {"X-Site": "north"})(event())
    [request], [body] = server.requests, server.bodies
    assert request.method == method
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Site"] == "north"
    assert json.loads(body) == {
        "hook": "dogs", "name": "cam", "index": 7, "timestamp": "2025-01-31T12:00:00.000042Z",
        "score": 0.625, "scores": {"LabelTrigger": 1.0}, "triggered_at": "2025-01-31T12:00:00.000042Z",
    }  # fmt: skip


async def test_with_prediction_data_the_body_is_also_geti_s_json(server: Server) -> None:
    await HttpRequestAction(server.url, "POST", include_prediction_data=True)(event())
    body = json.loads(server.bodies[0])
    assert body["score"] == 0.625
    assert Prediction.from_geti(body, size=(48, 64)).to_geti() == DOG.to_geti()


async def form_of(request: web.BaseRequest) -> web.Response:
    fields = await request.post()
    image = fields["image"]
    text = fields["event"]
    assert isinstance(image, web.FileField)
    assert isinstance(text, bytearray)
    assert list(fields) == ["event", "image"]
    return web.json_response([text.decode(), image.filename, image.content_type, image.file.read().hex()])


async def test_the_picture_goes_beside_the_json_as_the_bytes_it_came_in(server: Server) -> None:
    server.answer = form_of
    data = cv2.imencode(".png", NOISE)[1].tobytes()
    action = HttpRequestAction(server.url, "POST", {"Content-Type": "x/y"}, include_image="multipart")
    answer = await action(event(name="a/front.png", encoded=data))
    text, file_name, media_type, sent = json.loads(answer.body)
    assert json.loads(text)["name"] == "a/front.png"
    assert (file_name, media_type, bytes.fromhex(sent)) == ("a_front.png", "image/png", data)


async def test_a_picture_without_encoded_bytes_becomes_a_jpeg(server: Server) -> None:
    server.answer = form_of
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (48, 1, 3)) * np.array([1, 0, 0], np.uint8)
    action = HttpRequestAction(server.url, "POST", include_image="multipart", include_prediction_data=True)
    answer = await action(event(smooth, name=""))
    text, file_name, media_type, sent = json.loads(answer.body)
    assert json.loads(text)["kind"] == "prediction"
    assert (file_name, media_type) == ("frame.jpg", "image/jpeg")
    pixels: Any = cv2.imdecode(np.frombuffer(bytes.fromhex(sent), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(pixels[..., ::-1].astype(int) - smooth).max() < 12


async def test_megabytes_are_sent_without_a_warning(server: Server) -> None:
    many = Prediction.detection((48, 64), ["dog"], [[1, 2, 3, 4]] * 12000, [0.5] * 12000, [0] * 12000)
    big = HookEvent(event(encoded=b"BM" + bytes(3_000_000)).frame, many)
    await HttpRequestAction(server.url, "POST", include_prediction_data=True)(big)
    assert len(json.loads(server.bodies[0])["annotations"]) == 12000
    assert len(server.bodies[0]) > 1 << 20
    await HttpRequestAction(server.url, "POST", include_image="multipart")(big)
    assert len(server.bodies[1]) > 3_000_000


@pytest.mark.parametrize("status", [300, 304, 404, 422, 500, 503])
async def test_an_answer_that_is_no_success_fails_with_status_and_start_of_the_body(
    server: Server, status: int
) -> None:
    server.answer = answering(status=status, text="" if status == 304 else "no\n such   thing " + "x" * 5000)
    with pytest.raises(ActionError, match=f"GET http://.*/events: the server answered {status}") as caught:
        await HttpRequestAction(server.url)(event())
    assert ("no such thing xxx" in str(caught.value)) == (status != 304)
    assert len(str(caught.value)) < 700
    assert (caught.value.status, caught.value.retry_after) == (status, None)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)])
async def test_the_pause_that_a_server_asks_for_is_in_the_error(
    server: Server, value: str, seconds: float | None
) -> None:
    server.answer = answering(status=503, headers={"Retry-After": value})
    with pytest.raises(ActionError) as caught:
        await HttpRequestAction(server.url)(event())
    assert (caught.value.status, caught.value.retry_after) == (503, seconds)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "GET"},
        {"method": "POST"},
        {"method": "POST", "include_prediction_data": True},
        {"method": "POST", "include_image": "multipart"},
    ],
)
async def test_the_key_of_an_event_goes_with_it(server: Server, options: dict[str, Any]) -> None:
    for one in (event(), replace(event(), key="0123abcd")):
        await HttpRequestAction(server.url, **options)(one)
    assert [request.headers.get("Idempotency-Key") for request in server.requests] == [None, "0123abcd"]


async def test_redirects_are_not_followed(server: Server) -> None:
    server.answer = answering(status=302, headers={"Location": server.url + "/elsewhere"})
    with pytest.raises(ActionError, match="answered 302, and redirects are not followed"):
        await HttpRequestAction(server.url)(event())
    assert len(server.requests) == 1


async def test_a_server_that_does_not_answer_in_time_fails_the_event(server: Server) -> None:
    never = anyio.Event()

    async def hang(request: web.BaseRequest) -> web.Response:
        await never.wait()
        return web.Response()

    async def stop_halfway(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await never.wait()
        return response

    for server.answer in (hang, stop_halfway):
        with (
            anyio.fail_after(20),
            pytest.raises(ActionError, match=r"POST http://.*: no answer within 0\.05 s") as caught,
        ):
            await HttpRequestAction(server.url, "POST", timeout=0.05)(event())
        assert caught.value.may_pass
    assert len(server.requests) == 2
    never.set()


async def test_a_connection_that_breaks_fails_the_event() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")

    for talk, problem in [
        (reset, "Disconnected|Reset|reset"),
        (hang_up, "ClientPayloadError"),
        (babble, "malformed answer"),
    ]:
        async with listening(talk) as url:
            with pytest.raises(ActionError, match=problem) as caught:
                await HttpRequestAction(url, "POST")(event())
            assert caught.value.may_pass
    with pytest.raises(ActionError, match=r"Cannot connect to host 127\.0\.0\.1"):
        await HttpRequestAction(url, "POST")(event())


async def test_a_running_hook_shares_one_connection_between_events(server: Server) -> None:
    action = HttpRequestAction(server.url, "POST", include_prediction_data=True)
    async with action.lifespan() as send:
        for _ in range(5):
            await send(event())
    assert (len(server.requests), len(server.connections)) == (5, 1)
    await action(event())
    await action(event())
    assert (len(server.requests), len(server.connections)) == (7, 3)


async def test_cookies_are_not_kept_between_events(server: Server) -> None:
    server.answer = answering(headers={"Set-Cookie": "a=b"})
    async with HttpRequestAction(server.url.replace("127.0.0.1", "localhost")).lifespan() as send:
        await send(event())
        await send(event())
    assert ["Cookie" in request.headers for request in server.requests] == [False, False]


async def test_of_a_long_answer_only_the_start_is_read(server: Server) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"spam" * 4096)

    server.answer = endless
    async with HttpRequestAction(server.url).lifespan() as send:
        assert (await send(event())).body == "spam" * (64 * 1024 // 4)
        server.answer = None
        assert (await send(event())).body == "ok"


async def test_a_compressed_answer_is_not_inflated(server: Server) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server.answer = answering(body=bomb, headers={"Content-Encoding": "gzip"})
    answer = await HttpRequestAction(server.url)(event())
    assert len(answer.body) <= len(bomb)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


async def test_what_was_sent_is_logged_at_the_level_asked_for(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiohooks.hooks")
    await HttpRequestAction(server.url)(event())
    await HttpRequestAction(server.url, log_level="debug")(event())
    mine = [record.getMessage() for record in caplog.records if record.name == "aiohooks.hooks"]
    assert mine == [f"hook dogs: GET {server.url}: 200"]


SECRET = "s3cr3t-öäü-%2F/&"


async def test_secrets_come_from_the_environment_and_go_nowhere_else(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(list(request.headers.items())), status=status)

    monkeypatch.setenv("MY_TOKEN", SECRET)
    caplog.set_level(logging.DEBUG)
    server.answer = echo
    action = HttpRequestAction(server.url, "POST", {"Authorization": "Bearer ${MY_TOKEN}"})
    said = [repr(action), str(msgspec.to_builtins(action))]
    status = 200
    said.append(repr(await action(event())))
    status = 403
    with pytest.raises(ActionError, match="answered 403") as caught:
        await action(event())
    said.append(str(caught.value))
    assert [request.headers["Authorization"] for request in server.requests] == [f"Bearer {SECRET}"] * 2
    assert [SECRET in text for text in said] == [False] * 4
    assert all("${MY_TOKEN}" in text for text in said)
    assert SECRET not in caplog.text


async def test_a_url_may_name_its_secrets_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", f"{server.url}?token=abc123")
    assert (await HttpRequestAction("${HOOK_URL}", "POST")(event())).status == 200
    assert server.requests[0].query["token"] == "abc123"
    monkeypatch.setenv("KEY", "abc123")
    await HttpRequestAction(server.url + "?key=${KEY}")(event())
    assert server.requests[1].query["key"] == "abc123"


@pytest.mark.parametrize("url", ["abc123", "ftp://abc123/", "http://abc123:port/", "http://["])
async def test_a_broken_url_from_the_environment_is_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", url)
    with pytest.raises(ActionError, match=r"GET \$\{HOOK_URL\}: this is not a valid URL") as caught:
        await HttpRequestAction("${HOOK_URL}")(event())
    assert "abc123" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_malformed_answers_do_not_show_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")

    monkeypatch.setenv("KEY", "abc 123")
    async with listening(babble) as url:
        with pytest.raises(ActionError, match="malformed answer") as caught:
            await HttpRequestAction(url + "?key=${KEY}")(event())
    assert "abc" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", [None, "", "two\nlines", "bell\a"])
async def test_an_environment_variable_that_cannot_be_used_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("MY_TOKEN", raising=False)
    else:
        monkeypatch.setenv("MY_TOKEN", value)
    action = HttpRequestAction(server.url, headers={"X-Api-Key": "${MY_TOKEN}"})
    with pytest.raises(ActionError, match=r"headers\['X-Api-Key'\]: the environment variable MY_TOKEN") as caught:
        await action(event())
    assert not value or value not in str(caught.value)
    assert caught.value.may_pass  # it is not the event's fault
    assert server.requests == []


SECRET_HEADERS = [
    "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Auth", "x-my-TOKEN", "Client-Secret", "Passwd", "X-Signature",
]  # fmt: skip


@given(st.sampled_from(SECRET_HEADERS), st.text("abcdefghij0123456789-$", min_size=12))
def test_a_header_that_holds_a_secret_itself_is_refused_without_showing_it(name: str, secret: str) -> None:
    with pytest.raises(SpecError, match=r"headers\['.*'\] must not hold the secret itself.*\$\{MY_") as caught:
        HttpRequestAction("http://localhost", headers={"Accept": "text/plain", name: secret})
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("https://me:hunter22@host/x", r"https://\$\{MY_LOGIN\}@host"),
        ("https://hunter22@host/x", r"https://\$\{MY_LOGIN\}@host"),
        ("https://host/x?a=1&api_key=hunter22", r"\?api_key=\$\{MY_API_KEY\}"),
        ("https://host/x?token=hunter22#f", r"\?token=\$\{MY_TOKEN\}"),
        ("https://host/x?sv=1&sig=hunter22", r"\?sig=\$\{MY_SIG\}"),
        ("https://host/x?code=hunter22", r"\?code=\$\{MY_CODE\}"),
        ("https://host/x#token=hunter22", r"\?token=\$\{MY_TOKEN\}"),
    ],
)
def test_a_url_that_holds_a_secret_itself_is_refused_without_showing_it(url: str, hint: str) -> None:
    with pytest.raises(SpecError, match=hint) as caught:
        HttpRequestAction(url)
    assert "hunter22" not in str(caught.value)


def test_harmless_names_need_no_variable() -> None:
    harmless = {"X-Author": "me", "X-Authors-Name": "me", "Keywords": "a b", "Accept": "text/plain"}
    url = "https://host/x?author=me&keyword=dog&token="
    action = HttpRequestAction(url, headers=harmless)
    assert (action.url, action.headers) == (url, harmless)
    HttpRequestAction("https://${USER_AND_PASSWORD}@host/?zipcode=1", headers={"Cookie": "a=${A}; b=${B}"})


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"url": ""}, "url must be http://host/"),
        ({"url": "ftp://host/"}, "url must be http://host/"),
        ({"url": "http:///x"}, "url must be http://host/"),
        ({"url": "http://["}, "url: Invalid IPv6"),
        ({"url": "http://h/${1}"}, r"url: \$\{ must begin the name of an environment variable"),
        ({"method": "FETCH"}, "method: .*'FETCH'; expected GET or POST"),
        ({"timeout": 0}, "timeout: .*> 0.0, got 0"),
        ({"timeout": float("inf")}, "timeout: .*<= 86400.0, got inf"),
        ({"headers": {"a b": "c"}}, r"headers\['a b'\]: this is not the name of a header"),
        ({"headers": {"a": "c\r\nd: e"}}, r"headers\['a'\] must not hold line breaks"),
        ({"headers": {"a": "${b"}}, r"headers\['a'\]: \$\{ must begin the name"),
        ({"headers": {"a": 3}}, r"headers\[...\]: Expected str, got int"),
        ({"include_image": "inline"}, "include_image: .*expected none or multipart"),
    ],
)
def test_wrong_parameters_are_refused_where_they_are_given(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=rf"HttpRequestAction\.{problem}"):
        HttpRequestAction(**({"url": "http://localhost"} | parameters))


def test_the_headers_of_the_caller_are_copied() -> None:
    headers = {"X-Site": "north"}
    action = HttpRequestAction("http://localhost", headers=headers)
    headers["X-Site"] = os.devnull
    assert action.headers == {"X-Site": "north"}
