"""Every request passes one gate: who may ask, what goes wrong, what is counted and logged."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import numpy as np
import pytest
import served
import tiny_models
from aiohttp import web
from gated_model import gated

import aiohooks as ah
import aiohooks.server
from aiohooks.errors import DeliveryError, DeploymentError, SpecError
from aiohooks.server import Limits, create_app
from aiohooks.server.access import Access, is_loopback, token_from
from aiohooks.server.exchange import exchange_of
from aiohooks.server.refusal import Refusal, refusal_of

pytestmark = pytest.mark.anyio

RED = served.png(red=255)
INFER = "/deployments/colours/infer"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return served.colours(tmp_path)


def slow_picture(milliseconds: int) -> bytes:
    return served.png(red=milliseconds)


# who may ask ---------------------------------------------------------------------------------------------------


async def test_a_token_is_asked_of_everything_but_probes(model: Path) -> None:
    async with served.serving(model, token="s3cret") as server:
        for path in ("/v2", "/metrics", "/deployments", "/nothing", "/v2/models/colours"):
            async with server.client.get(path) as answer:
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path
        for path in ("/v2/health/live", "/v2/health/ready"):
            async with server.client.get(path) as answer:
                assert answer.status == 200
        for headers, status in [
            ({"Authorization": "Bearer s3cret"}, 200),
            ({"Authorization": "bearer  s3cret "}, 200),
            ({"X-API-Key": "s3cret"}, 200),
            ({"Authorization": "Basic s3cret"}, 401),
            ({"Authorization": "Bearer s3cre"}, 401),
            ({"Authorization": "Bearer s3cret2"}, 401),
            ({"Authorization": "Bearer é"}, 401),
            ({"Authorization": "Bearer"}, 401),
        ]:
            async with server.client.post(INFER, data=RED, headers=headers) as answer:
                assert answer.status == status, headers
        async with server.client.post(
            INFER, data=RED, headers={"Host": "any.example", "X-API-Key": "s3cret"}
        ) as answer:
            assert answer.status == 200


async def test_a_client_that_asks_may_send_its_body_once_it_is_let_in(model: Path) -> None:
    async def said(server: served.Server, expected: bytes, token: bytes) -> bytes:
        async with await anyio.connect_tcp("127.0.0.1", int(server.url.rpartition(":")[2])) as client:
            await client.send(
                b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\nX-API-Key: %s\r\n"
                b"Expect: %s\r\n\r\n" % (INFER.encode(), len(RED), token, expected)
            )
            answer = await client.receive()
            if answer.startswith(b"HTTP/1.1 100 "):
                await client.send(RED)
                answer += await client.receive()
            return answer

    async with served.serving(model, token="s3cret") as server:
        answer = await said(server, b"100-Continue", b"s3cret")
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert (await said(server, b"100-continue", b"other")).startswith(b"HTTP/1.1 401 ")
        for nonsense in (b"tea", b"100-conti\xeeue"):
            assert (await said(server, nonsense, b"s3cret")).startswith(b"HTTP/1.1 417 ")
        tally = server.app[aiohooks.server.TALLY].requests
    assert tally == {("native", "colours", 200): 1, ("native", "", 401): 1, ("native", "", 417): 2}


def test_secrets_are_in_no_repr() -> None:
    assert "s3cret" not in repr(Access(token="s3cret")) + str(vars(Access(token="s3cret")).keys())


def test_a_token_comes_from_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    for given, said in [
        (("a", "TOKEN"), "give one of them"),
        ((None, "TOKEN"), "TOKEN is not set"),
        (("a b\n", None), "printable ASCII"),
        (("", None), "printable ASCII"),
    ]:
        with pytest.raises(SpecError, match=said):
            token_from(*given)
    monkeypatch.setenv("TOKEN", "x")
    assert token_from(None, "TOKEN") == token_from("x", None) == "x"


async def test_redirects_and_their_kind_keep_what_they_tell(tmp_path: Path) -> None:
    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    app = create_app(ah.Deployment.load(served.colours(tmp_path)))
    app.router.add_get("/old", moved)
    async with aiohooks.server.serve(app) as (host, port), aiohttp.ClientSession(f"http://{host}:{port}") as client:
        async with client.get("/old", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
        async with client.put("/deployments") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        (("127.0.0.1", 80), True),
        (("127.9.9.9", 80), True),
        (("::1", 80, 0, 0), True),
        (("fe80::1%eth0", 80, 0, 1), False),
        (("192.168.0.2", 80), False),
        (("::ffff:10.0.0.1", 80, 0, 0), False),
        (("::ffff:127.0.0.1", 80, 0, 0), True),
        (("localhost", 80), False),
        ("/run/aiohooks.sock", True),
        (None, False),
    ],
)
def test_without_a_token_only_this_machine_may_ask(local: object, expected: bool) -> None:
    assert is_loopback(local) == expected
    asked: dict[str, Any] = {
        "local": local,
        "host": "localhost:80",
        "origin": None,
        "authorization": None,
        "api_key": None,
    }
    if expected:
        Access().check(**asked)
    else:
        with pytest.raises(Refusal, match="its own machine only"):
            Access().check(**asked)
    Access(token="a").check(**asked | {"api_key": "a"})


def test_hosts_can_be_named() -> None:
    access = Access(token="a", hosts=["Cam.Example"])
    asked: dict[str, Any] = {"local": ("10.0.0.1", 80), "origin": None, "authorization": None, "api_key": "a"}
    access.check(**asked, host="cam.example:8000")
    with pytest.raises(Refusal, match="does not go by that name"):
        access.check(**asked, host="evil.example")


# overload ------------------------------------------------------------------------------------------------------


async def test_too_many_requests_are_told_when_to_come_back() -> None:
    limits = Limits(running=1, waiting=2)
    async with served.serving(ah.Deployment.load(tiny_models.slow()), limits=limits) as server:
        path = f"/deployments/{server.deployment.name}/infer"
        statuses = []

        async def ask() -> None:
            async with server.client.post(path, data=slow_picture(100)) as answer:
                statuses.append(answer.status)
                if answer.status == 503:
                    assert int(answer.headers["Retry-After"]) >= 1
                    assert "which is all there is room for" in (await answer.json())["error"]

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
        assert sorted(statuses) == [200] * 3 + [503] * 7
        metrics = await server.metrics()
    name = server.deployment.name
    total = f'aiohooks_requests_total{{protocol="native",deployment="{name}",outcome='
    assert metrics[total + '"done",code="200"}'] == 3
    assert metrics[total + '"overload",code="503"}'] == 7


async def test_a_request_that_takes_too_long_is_given_up() -> None:
    async with served.serving(ah.Deployment.load(tiny_models.slow()), limits=Limits(running=1)) as server:
        path = f"/deployments/{server.deployment.name}/infer"
        async with server.client.post(path, data=slow_picture(200), headers={"X-Request-Timeout": "0.05"}) as answer:
            assert answer.status == 504
        for wrong in ("0", "-1", "soon", "nan"):
            async with server.client.post(path, data=RED, headers={"X-Request-Timeout": wrong}) as answer:
                assert answer.status == 400
        async with server.client.post(path, data=slow_picture(1), headers={"X-Request-Timeout": "20"}) as answer:
            assert answer.status == 200
        assert server.serving.find(server.deployment.name).admission.running == 0


async def test_no_request_takes_longer_than_the_server_lets_it() -> None:
    deployment, _ = gated(is_open=False)
    async with served.serving(deployment, limits=Limits(request_seconds=0.1)) as server:
        with anyio.fail_after(20):
            for headers in ({}, {"X-Request-Timeout": "1000"}):
                async with server.client.post("/deployments/gated/infer", data=RED, headers=headers) as answer:
                    assert answer.status == 504


async def test_work_stops_when_the_client_leaves() -> None:
    deployment, model = gated(is_open=False)
    async with served.serving(deployment, limits=Limits(running=1)) as server:
        name = server.deployment.name
        admission = server.serving.find(name).admission
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(server.client.post, f"/deployments/{name}/infer", data=RED))
            await model.begins(0)
            tasks.cancel_scope.cancel()
        await model.was_cancelled.wait()
        await served.until(lambda: admission.running == 0)
        metrics = await server.metrics()
        assert (
            metrics[f'aiohooks_requests_total{{protocol="native",deployment="{name}",outcome="left",code="499"}}'] == 1
        )
        assert metrics["aiohooks_requests_under_way"] == 1  # the one that asks


async def test_bodies_share_their_memory(model: Path) -> None:
    limits = Limits(body_bytes=1000, buffered_bytes=1500)
    async with served.serving(model, limits=limits) as server:
        gate, arrived = anyio.Event(), anyio.Event()

        async def slowly() -> Any:
            yield bytes(900)
            arrived.set()
            await gate.wait()

        async def first() -> None:
            async with server.client.post(INFER, data=slowly()) as answer:
                assert answer.status == 400

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await arrived.wait()
            await served.until(lambda: server.serving.bodies.held_bytes == 900)
            async with server.client.post(INFER, data=bytes(900)) as answer:
                assert answer.status == 503
            gate.set()
        async with server.client.post(INFER, data=bytes(1001)) as answer:
            assert answer.status == 413
        assert server.serving.bodies.held_bytes == 0


# what goes wrong -----------------------------------------------------------------------------------------------


async def test_a_model_that_fails_says_so_without_its_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiny_models.save(tiny_models.failing(), tmp_path / "failing.xml")
    async with served.serving(path) as server:
        white = served.png(red=255, green=255, blue=255)
        async with server.client.post("/deployments/failing/infer", data=white) as answer:
            assert answer.status == 500
            assert await answer.json() == {"error": "the model failed on this input; the server's log says why"}
        async with server.client.post("/deployments/failing/infer", data=RED) as answer:
            assert answer.status == 200
    (record,) = [record for record in caplog.records if record.name == "aiohooks.server"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ah.InferenceError)


async def test_what_fails_unexpectedly_is_a_500_without_details(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError("the password is x")

    app = create_app(ah.Deployment.load(model))
    app.router.add_get("/broken", broken)
    async with (
        aiohooks.server.serve(app) as (host, port),
        aiohttp.ClientSession(f"http://{host}:{port}") as client,
        client.get("/broken") as answer,
    ):
        assert (answer.status, await answer.json()) == (500, {"error": "the server failed; its log says why"})
    assert "GET /broken failed" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ah.FrameError("video /tmp/a/upload: cut off"), 400, "video upload: cut off"),
        (ah.SpecError("form: there is none"), 400, "form: there is none"),
        (ah.InferQueueClosed("x"), 503, "closing"),
        (ah.InferenceError("secret"), 500, "the model failed"),
        (ah.LoadError("secret"), 503, "not open"),
        (ah.SessionError("secret", may_pass=True), 502, "does not answer"),
        (ah.RemoteError("secret", status=400), 502, "cannot do this"),
        (web.HTTPNotFound(), 404, "nothing at this address"),
        (ValueError("secret"), 500, "the server failed"),
    ],
)
def test_clients_are_told_what_is_theirs(error: Exception, status: int, said: str) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, said in str(refusal), "secret" in str(refusal)) == (status, True, False)


async def test_methods_and_addresses_that_are_not_there(model: Path) -> None:
    async with served.serving(model) as server:
        for method, path, status in [
            ("GET", INFER, 405),
            ("DELETE", "/v2", 405),
            ("GET", "/deployments/x", 404),
            ("POST", "/v2/models/x/infer", 404),
        ]:
            async with server.client.request(method, path) as answer:
                assert answer.status == status
                assert "error" in await answer.json()


# mounting and opening ------------------------------------------------------------------------------------------


async def test_an_app_can_be_mounted_and_extended(model: Path) -> None:
    outer = web.Application()
    outer.add_subapp("/vision/", create_app(ah.Deployment.load(model), token="s3cret"))
    async with aiohooks.server.serve(outer) as (host, port), aiohttp.ClientSession(f"http://{host}:{port}") as client:
        async with client.get("/vision/v2/health/ready") as answer:
            assert answer.status == 200
        async with client.get("/vision/metrics") as answer:
            assert answer.status == 401
        client.headers["X-API-Key"] = "s3cret"
        async with client.post(f"/vision{INFER}", data=RED) as answer:
            assert answer.status == 200
        async with client.get("/vision/metrics") as answer:
            assert 'protocol="native",deployment="colours",outcome="done"' in await answer.text()


async def test_deployments_that_are_open_stay_so(model: Path) -> None:
    async with ah.Deployment.load(model) as deployment:
        async with served.serving(deployment, ah.Deployment.load(served.colours(model.parent, "other"))) as server:
            assert server.deployments[1].is_open
        assert deployment.is_open
        assert not server.deployments[1].is_open


def test_deployments_have_names_of_their_own(model: Path) -> None:
    with pytest.raises(DeploymentError, match="same name"):
        create_app([ah.Deployment.load(model), ah.Deployment.load(model)])
    with pytest.raises(DeploymentError, match="no deployment"):
        create_app([])
    create_app({"a": ah.Deployment.load(model), "b": ah.Deployment.load(model)})


async def test_a_model_that_cannot_be_loaded_closes_those_that_were(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("no model")
    good, bad = ah.Deployment.load(model), ah.Deployment.load(tmp_path / "bad.xml")
    with pytest.raises(ah.LoadError):
        async with aiohooks.server.serve(create_app([good, bad])):
            pass
    assert not good.is_open


async def test_an_address_that_is_taken(model: Path) -> None:
    async with served.serving(model) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(DeploymentError, match=f"cannot listen at 127.0.0.1:{port}"):
            async with aiohooks.server.serve(create_app(ah.Deployment.load(model)), port=port):
                pass


# what is told --------------------------------------------------------------------------------------------------


async def test_readiness_ends_before_the_server_does(model: Path) -> None:
    async with served.serving(model) as server:
        async with server.client.get("/v2/health/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True})
        server.serving.drain()
        async with server.client.get("/v2/health/ready") as answer:
            assert (answer.status, await answer.json()) == (503, {"ready": False})
            assert answer.headers["Connection"] == "close"
        async with server.client.get("/v2/health/live") as answer:
            assert answer.status == 200
        async with server.client.post(INFER, data=RED) as answer:  # it was on its way
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        async with server.client.get("/deployments/colours/live") as answer:
            assert answer.status == 503
            assert "shutting down" in (await answer.json())["error"]


async def test_metrics_tell_of_hooks_and_times(model: Path) -> None:
    async def fail(_: ah.HookEvent) -> None:
        raise ah.ActionError("no")

    async with served.serving(model) as server:
        server.deployment.add_hook(ah.PostInferenceHook(trigger=ah.LabelTrigger(["red"]), action=fail, name="reds"))
        for picture in (RED, RED, served.png(blue=255)):
            async with server.client.post(INFER, data=picture) as answer:
                assert answer.status == 200
        await server.deployment.drained()
        metrics = await server.metrics()
    hook = 'deployment="colours",hook="reds"'
    assert metrics[f"aiohooks_hook_frames_total{{{hook}}}"] == 3
    assert metrics[f'aiohooks_hook_outcomes_total{{{hook},kind="failed"}}'] == 2
    assert metrics[f'aiohooks_hook_outcomes_total{{{hook},kind="not_fired"}}'] == 1
    assert metrics[f"aiohooks_hook_pending{{{hook}}}"] == 0
    assert metrics['aiohooks_inference_seconds_count{deployment="colours"}'] == 3
    assert metrics['aiohooks_queue_seconds_bucket{deployment="colours",le="+Inf"}'] == 3
    assert 0 < metrics['aiohooks_inference_seconds_sum{deployment="colours"}'] < 60


async def test_hooks_of_one_name_are_one_series(model: Path) -> None:
    deployment = ah.Deployment.load(model)
    for label in ("red", "green"):  # both are called LabelTrigger → LogAction
        deployment.add_hook(ah.PostInferenceHook(trigger=ah.LabelTrigger([label]), action=ah.LogAction()))
    async with served.serving(deployment) as server:
        await deployment.infer(RED)
        await deployment.drained()
        async with server.client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    (frames,) = [line for line in lines if line.startswith("aiohooks_hook_frames_total")]
    assert frames.endswith(" 2")


async def test_metrics_ask_all_spools_at_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, all_are = [], anyio.Event()

    async def status() -> None:
        asked.append(None)
        if len(asked) == 2:
            all_are.set()
        with anyio.fail_after(1):
            await all_are.wait()
        raise DeliveryError("the store is away")

    deployment = ah.Deployment.load(model)
    for name in ("a", "b"):
        spool = ah.Spool(str(tmp_path / name))
        hook = ah.PostInferenceHook(name=name, trigger=ah.AlwaysTrigger(), action=ah.LogAction(), delivery=spool)
        monkeypatch.setattr(deployment.add_hook(hook).delivery, "status", status)
    async with served.serving(deployment) as server, server.client.get("/metrics") as answer:
        assert answer.status == 200


async def test_metrics_tell_of_spools(model: Path, tmp_path: Path) -> None:
    async def refuse(_: ah.HookEvent) -> None:
        raise ah.ActionError("not now", may_pass=True)

    hook = ah.PostInferenceHook(
        trigger=ah.AlwaysTrigger(), action=refuse, name="kept", delivery=ah.Spool(str(tmp_path / "spool"))
    )
    deployment = ah.Deployment.load(model, drain_timeout=0.1)
    deployment.add_hook(hook)
    async with served.serving(deployment) as server:
        async with server.client.post(INFER, data=RED) as answer:
            assert answer.status == 200
        await deployment.drained()
        metrics = await server.metrics()
    about = 'deployment="colours",hook="kept"'
    states = [metrics[f'aiohooks_spool_items{{{about},state="{state}"}}'] for state in ("ready", "leased", "delayed")]
    assert sum(states) == 1
    assert metrics[f"aiohooks_spool_bytes{{{about}}}"] > 100
    assert 0 <= metrics[f"aiohooks_spool_oldest_age_seconds{{{about}}}"] < 60


async def test_the_access_log_has_fields_and_no_secrets(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiohooks.server.access")
    async with served.serving(model, token="s3cret") as server:
        headers = {"Authorization": "Bearer s3cret"}
        async with server.client.post(f"{INFER}?api_token=s3cret", data=RED, headers=headers) as answer:
            assert answer.status == 200
        async with server.client.get("/a%0ab", headers=headers) as answer:
            assert answer.status == 404
    first, second = [record for record in caplog.records if record.name == "aiohooks.server.access"]
    fields = vars(first)["request"]
    assert fields.pop("seconds") > 0
    assert fields == {
        "method": "POST",
        "path": INFER,
        "status": 200,
        "protocol": "native",
        "deployment": "colours",
        "client": "127.0.0.1",
    }
    assert vars(second)["request"]["error"] == "Not Found"
    assert "\n" not in second.getMessage()
    assert "s3cret" not in caplog.text


async def test_spans_tell_how_a_request_ended(model: Path) -> None:
    spans = []

    @contextmanager
    def tracing(request: web.Request, exchange: Any) -> Iterator[None]:
        assert exchange_of(request) is exchange
        yield
        spans.append((request.match_info.route.resource.canonical, exchange.deployment, exchange.status))

    async with served.serving(model, tracing=tracing) as server:
        for body in (RED, b"no picture"):
            async with server.client.post(INFER, data=body):
                pass
    assert spans == [("/deployments/{name}/infer", "colours", 200), ("/deployments/{name}/infer", "colours", 400)]


class FakeTracer:
    """Keeps what a tracer of OpenTelemetry is told."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    @contextmanager
    def start_as_current_span(self, name: str, **about: Any) -> Iterator["FakeTracer"]:
        self.spans.append({"name": name, "parent": about["context"], **about["attributes"]})
        yield self

    def set_attribute(self, key: str, value: object) -> None:
        self.spans[-1][key] = value

    def set_status(self, status: Any) -> None:
        self.spans[-1]["status"] = status.name


async def test_spans_of_open_telemetry(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry", reason="opentelemetry-api is not installed")
    from opentelemetry import trace

    from aiohooks.server.open_telemetry import spans

    tracer = FakeTracer()
    path = tiny_models.save(tiny_models.failing(), tmp_path / "failing.xml")
    async with served.serving(path, tracing=spans(tracer)) as server:
        headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        for body in (RED, served.png(red=255, green=255, blue=255)):
            async with server.client.post("/deployments/failing/infer", data=body, headers=headers):
                pass
    first, second = tracer.spans
    assert trace.get_current_span(first.pop("parent")).get_span_context().span_id == 0xB7AD6B7169203331
    assert first == {
        "name": "POST /deployments/{name}/infer",
        "http.request.method": "POST",
        "http.route": "/deployments/{name}/infer",
        "url.path": "/deployments/failing/infer",
        "aiohooks.protocol": "native",
        "aiohooks.deployment": "failing",
        "http.response.status_code": 200,
    }
    assert (second["http.response.status_code"], second["status"]) == (500, "ERROR")


async def test_pictures_are_decoded_off_the_event_loop(model: Path) -> None:
    """The loop answers others while a large picture is decoded."""
    large = served.encoded(np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8), ".png")
    async with served.serving(model) as server:
        finished = []

        async def ask(path: str, body: io.BytesIO | None) -> None:
            async with server.client.request("POST" if body else "GET", path, data=body) as answer:
                assert answer.status == 200
                finished.append(path)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, INFER, io.BytesIO(large))
            await served.until(lambda: server.serving.find("colours").admission.running == 1)
            tasks.start_soon(ask, "/v2/health/live", None)
    assert finished == ["/v2/health/live", INFER]
