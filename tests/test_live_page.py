"""The live page's server: figures, pictures, commands, who may see them, and who is left."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import anyio
import cv2
import numpy as np
import pytest
import served
import tiny_models

import aiohooks as ah
import aiohooks.server
from aiohooks.errors import DeliveryError, SpecError
from aiohooks.hooks.actions.file_system import StoredFiles
from aiohooks.hooks.outcome import Outcome, OutcomeKind
from aiohooks.prediction import Task
from aiohooks.server.app import create_live_app
from aiohooks.server.live import audience, routes
from aiohooks.server.live.collected import Collected
from aiohooks.server.live.drawing import draw
from aiohooks.server.live.drift_charts import SHORTEST_PAUSE as SHORTEST_DRIFT_PAUSE
from aiohooks.server.live.drift_charts import pause_for
from aiohooks.server.live.latest import Latest
from aiohooks.server.live.live_page import LivePage
from aiohooks.server.live.pace import LONGEST_PAUSE, SHARE, SHORTEST_PAUSE, pause_after, processors_of
from aiohooks.server.live.shrinking import shrunk
from aiohooks.server.live.thresholds import thresholds_of, with_threshold

pytestmark = pytest.mark.anyio

RED = tiny_models.plain(red=255)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohooks.server.live.live_page.FIGURES_SECONDS", 0.03)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return served.colours(tmp_path)


class Events:
    """Figures as a browser gets them."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> dict[str, Any]:
        with anyio.fail_after(20):
            assert (await self._answer.content.readline()) == b"event: figures\n"
            line = await self._answer.content.readline()
            assert (await self._answer.content.readline()) == b"\n"
        told: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        return told

    async def until(self, is_so: Any) -> dict[str, Any]:
        while not is_so(told := await self.next()):
            pass
        return told


@asynccontextmanager
async def watching(server: served.Server, **headers: str) -> AsyncIterator[Events]:
    async with server.client.get("/live/events", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Events(answer)


def hook_of(told: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = told["deployments"][0]["hooks"][index]
    return found


async def do(server: served.Server, told: Any, status: int = 200, **headers: str) -> str:
    async with server.client.post("/live/do", json=told, headers=headers) as answer:
        said = await answer.json()
        assert answer.status == status, said
        return str(said.get("done") or said["error"])


async def test_the_page_is_closed_to_scripts_and_hosts_of_others(model: Path) -> None:
    async with served.serving(model, token="s3cret") as server:
        for path in ("/", "/live/live.js", "/live/live.css", "/live/icon.svg"):
            async with server.client.get(path) as answer:
                assert answer.status == 200
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                text = await answer.text()
                assert " style=" not in text
                assert "<script>" not in text
        for path in ("/live/events", "/live/troubles", "/live/pictures", "/live/drift/colours"):
            async with server.client.get(path) as answer:
                assert answer.status == 401
        await do(server, {"do": "settings", "deployment": "colours", "places": 1}, 401)


async def test_figures_and_pictures(model: Path, tmp_path: Path) -> None:
    deployment = ah.Deployment.load(model)
    deployment.add_hook(
        ah.PostInferenceHook(
            name="reds", trigger=ah.LabelTrigger(["red"]), action=ah.FileSystemDataCollection(tmp_path / "kept")
        )
    )
    async with served.serving(deployment) as server:
        assert deployment.monitors == ()
        async with watching(server) as events, server.client.ws_connect("/live/pictures") as pictures:
            assert (await events.next())["deployments"][0]["done"] == 0
            await deployment.infer(ah.Frame(RED, name="gate"))
            with anyio.fail_after(20):
                message = await pictures.receive_bytes()
            await pictures.send_str("ok")
            length = int.from_bytes(message[:4], "big")
            head = json.loads(message[4 : 4 + length])
            assert head["deployment"] == "colours"
            assert head["frame"] == "gate"
            assert head["top"][0] == "red"
            image = cv2.imdecode(np.frombuffer(message[4 + length :], np.uint8), cv2.IMREAD_COLOR)
            assert image[40, 40, 2] > 200
            told = await events.until(lambda told: hook_of(told)["pictures"])
            hook = hook_of(told)
            assert (hook["counts"]["seen"], hook["counts"]["done"]) == (1, 1)
            assert hook["outcomes"][0]["kind"] == "done"
            assert told["browsers"] == 2
            one = told["deployments"][0]
            assert (one["done"], one["failed"], one["under_way"]) == (1, 0, 0)
            assert 0 < one["p50"] <= one["p95"]
            number = hook["pictures"][0]["number"]
            async with server.client.get(f"/live/collected/colours/{number}") as answer:
                assert answer.content_type == "image/jpeg"
                assert cv2.imdecode(np.frombuffer(await answer.read(), np.uint8), cv2.IMREAD_COLOR) is not None
            for path in (
                "/live/collected/colours/99",
                "/live/collected/colours/x",
                "/live/drift/colours/no/0",
                "/live/drift/no",
            ):
                async with server.client.get(path) as answer:
                    assert answer.status == 404
        await served.until(lambda: deployment.monitors == ())


async def test_pictures_wait_for_the_browser(model: Path) -> None:
    async with served.serving(model) as server, server.client.ws_connect("/live/pictures") as pictures:
        deployment = server.deployment
        await served.until(lambda: len(deployment.monitors) == 1)

        async def infer_until_drawn(version: int) -> None:
            watch = page_of(server).shown["colours"].watch
            while watch.picture.version < version:
                await deployment.infer(ah.Frame(RED, name=f"frame after {watch.picture.version}"))

        with anyio.fail_after(30):
            await infer_until_drawn(3)
            first = await pictures.receive_bytes()
            await pictures.send_str("ok")
            second = await pictures.receive_bytes()
        assert b"frame after 0" in first
        assert b"frame after 2" in second, "the one in between was never sent"


def page_of(server: served.Server) -> LivePage:
    return next(
        each.__self__ for each in server.app.cleanup_ctx if isinstance(getattr(each, "__self__", None), LivePage)
    )


async def test_a_browser_that_has_sent_the_token_holds_a_cookie(model: Path) -> None:
    async with served.serving(model, token="s3cret", hosts=["127.0.0.1"]) as server:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(server.url, cookie_jar=jar) as browser:
            async with browser.post("/live/session", headers={"Authorization": "Bearer wrong"}) as answer:
                assert answer.status == 401
            headers = {"Authorization": "Bearer s3cret"}
            async with browser.post("/live/session", headers={**headers, "Origin": "http://evil.example"}) as answer:
                assert answer.status == 403
            async with browser.get("/live/session") as answer:
                assert answer.status == 401
            async with browser.post("/live/session", headers=headers) as answer:
                assert answer.status == 200
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=Strict" in cookie
                assert "s3cret" not in cookie
            async with browser.get("/live/troubles") as answer:
                assert answer.status == 200
            async with browser.get("/deployments") as answer:
                assert answer.status == 401, "the cookie opens the page, nothing else"


async def test_commands_of_other_sites_are_refused(model: Path) -> None:
    told = {"do": "settings", "deployment": "colours", "places": 7}
    async with served.serving(model) as server:
        host = server.url.removeprefix("http://")
        places = server.serving.find("colours").admission.places
        await do(server, told, 403, Origin="http://localhost:1")
        await do(server, told, 403, Origin="http://[")
        await do(server, told, 403, **{"Sec-Fetch-Site": "cross-site"})
        async with server.client.post(
            "/live/do", data=json.dumps(told), headers={"Content-Type": "text/plain"}
        ) as answer:
            assert answer.status == 415
        async with server.client.get("/live/pictures", headers={"Origin": "http://localhost:1"}) as answer:
            assert answer.status == 403
        assert server.serving.find("colours").admission.places == places
        await do(server, told, Origin=f"http://{host}", **{"Sec-Fetch-Site": "same-origin"})
        assert server.serving.find("colours").admission.places == 7


async def test_commands(model: Path) -> None:
    deployment = ah.Deployment.load(model)
    seen = []

    async def act(event: ah.HookEvent) -> None:
        seen.append(event.frame.name)

    given = ah.PostInferenceHook(name="reds", trigger=ah.LabelTrigger(["red"]) & ~ah.ConfidenceTrigger(0.5), action=act)
    hook = deployment.add_hook(given)
    async with served.serving(deployment) as server:
        about = {"deployment": "colours", "hook": 0, "name": "reds"}
        assert "paused" in await do(server, {"do": "pause", **about, "paused": True})
        await deployment.infer(RED)
        assert (hook.counts.seen, hook.counts.skipped, hook.counts.fired) == (1, 1, 0)
        await do(server, {"do": "pause", **about, "paused": False})
        await do(server, {"do": "rate", **about, "rate": {"count": 1, "per": 3600.0}})
        for name in ("one", "two"):
            await deployment.infer(ah.Frame(RED, name=name))
        await deployment.drained()
        assert seen == ["one"]
        assert hook.counts.rate_limited == 1
        await do(server, {"do": "rate", **about, "rate": None})
        await do(server, {"do": "threshold", **about, "path": "parts.1.part.threshold", "value": 1.0})
        await deployment.infer(RED)
        assert hook.counts.not_fired == 1
        for told, status in (
            ({"do": "threshold", **about, "path": "parts.1.part.threshold", "value": 2.0}, 400),
            ({"do": "threshold", **about, "path": "label_names", "value": 2.0}, 400),
            ({"do": "rate", **about, "rate": {"count": 0}}, 400),
            ({"do": "pause", **about, "name": "blues", "paused": True}, 409),
            ({"do": "pause", **about, "hook": 1, "paused": True}, 409),
            ({"do": "pause", **about, "deployment": "no", "paused": True}, 404),
            ({"do": "replay", **about}, 409),
            ({"do": "settings", "deployment": "colours"}, 400),
            ({"do": "settings", "deployment": "colours", "places": 0}, 400),
            ({"do": "what"}, 400),
            ("x" * 20_000, 413),
        ):
            await do(server, told, status)
        assert not hook.paused
        await do(server, {"do": "settings", "deployment": "colours", "room": 3, "min_score": 1.0})
        assert server.serving.find("colours").admission.room == 3
        assert (await deployment.infer(RED)).is_empty
        await do(server, {"do": "settings", "deployment": "colours", "min_score": 0.0})
        assert not (await deployment.infer(RED)).is_empty
        assert deployment.monitors == ()
        deployment.remove_hook(given)
        assert deployment.hooks == ()


async def test_dead_letters_are_replayed(model: Path, tmp_path: Path) -> None:
    works = False
    delivered = anyio.Event()

    async def act(event: ah.HookEvent) -> None:
        if not works:
            raise ValueError("the sink is down")
        delivered.set()

    deployment = ah.Deployment.load(model)
    deployment.add_hook(
        ah.PostInferenceHook(
            name="far", trigger=ah.AlwaysTrigger(), action=act, delivery=ah.Spool(str(tmp_path / "spool"))
        )
    )
    async with served.serving(deployment) as server, watching(server) as events:
        await deployment.infer(RED)
        told = await events.until(lambda told: (hook_of(told)["spool"] or {}).get("dead") == 1)
        assert "the sink is down" in hook_of(told)["outcomes"][0]["error"]
        assert told["troubles"] >= 1
        async with server.client.get("/live/troubles") as answer:
            assert any("the sink is down" in each["message"] for each in await answer.json())
        works = True
        assert "1 dead letters" in await do(server, {"do": "replay", "deployment": "colours", "hook": 0, "name": "far"})
        with anyio.fail_after(20):
            await delivered.wait()


@pytest.mark.parametrize("path", ["/live/events", "/live/pictures"])
async def test_a_stalled_browser_is_left(model: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(routes, "STALL_SECONDS", 0.3)
    async with served.serving(model) as server:
        page = page_of(server)
        _, writer = await asyncio.open_connection(sock=small_socket(server.url))
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade if 'pict' in path else ''}\r\n".encode())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await served.until(lambda: page.audience.count == 1)
        await served.until(lambda: len(server.deployment.monitors) == 1)
        monkeypatch.setattr(type(page.shown["colours"]), "figures", large_figures)
        with anyio.fail_after(60):
            while not page.audience.stalled:
                await server.deployment.infer(RED)
        await served.until(lambda: page.audience.count == 0)
        await served.until(lambda: server.deployment.monitors == ())
        assert page.audience.stalled == 1
        writer.close()
        assert page.troubles.latest == []


async def large_figures(self: Any) -> dict[str, Any]:
    return {"filler": "x" * 100_000}


def small_socket(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host, int(port)))
    connection.setblocking(False)
    return connection


async def test_the_end_of_the_server_is_not_held_up(model: Path) -> None:
    with anyio.fail_after(20):
        async with served.serving(model) as server:
            context = watching(server)
            events = await context.__aenter__()
            await events.next()
        await context.__aexit__(None, None, None)


async def test_without_a_page(model: Path) -> None:
    async with served.serving(model, live=False) as server, server.client.get("/") as answer:
        assert answer.status == 404


def test_pictures_never_take_more_than_their_share() -> None:
    assert pause_after(0.0, 0, 2) == SHORTEST_PAUSE
    for seconds, browsers, processors in ((0.004, 0, 2), (0.02, 20, 2), (0.05, 128, 2), (0.5, 1, 2), (0.1, 0, 0.5)):
        pause = pause_after(seconds, browsers, processors)
        assert seconds / pause <= SHARE * processors + 1e-12
    assert pause_after(100.0, 0, 2) == LONGEST_PAUSE


def test_a_container_may_have_a_part_of_a_processor() -> None:
    assert processors_of("50000 100000\n") == 0.5
    assert processors_of("max 100000\n") == float("inf")
    with pytest.raises(ValueError, match="unpack"):
        processors_of("")


async def test_only_the_latest_counts() -> None:
    latest: Latest[int] = Latest()
    got = []

    async def follow() -> None:
        version = 0
        while version < 5:
            got.append(await latest.after(version))
            version = latest.version

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        latest.set(1)
        await anyio.wait_all_tasks_blocked()
        for value in range(2, 6):
            latest.set(value)
    assert got == [1, 5]


def test_thresholds_in_a_tree() -> None:
    trigger = ah.AnyOf([ah.ObjectCountTrigger(3), ~(ah.ConfidenceTrigger(0.4) & ah.AlwaysTrigger())])
    assert [(each.path, each.value, each.is_whole) for each in thresholds_of(trigger)] == [
        ("parts.0.threshold", 3, True),
        ("parts.1.part.parts.0.threshold", 0.4, False),
    ]
    changed = with_threshold(with_threshold(trigger, "parts.0.threshold", 5.0), "parts.1.part.parts.0.threshold", 0.9)
    assert [each.value for each in thresholds_of(changed)] == [5, 0.9]
    assert [each.value for each in thresholds_of(trigger)] == [3, 0.4]

    async def plain(frame: ah.Frame, prediction: ah.Prediction) -> bool:
        return True

    assert thresholds_of(plain) == []
    with pytest.raises(SpecError, match="no threshold 'threshold'; there are: none"):
        with_threshold(plain, "threshold", 0.5)
    with pytest.raises(SpecError, match="threshold"):
        with_threshold(trigger, "parts.0.threshold", 1.5)


async def test_what_the_page_asks_for_by_itself_is_not_in_the_access_log(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "aiohooks.server.access")
    async with served.serving(model) as server:
        for path, status in (("/live/troubles", 200), ("/live/drift/colours", 200), ("/live/collected/colours/1", 404)):
            async with server.client.get(path) as answer:
                assert answer.status == status
        await do(server, {"do": "settings", "deployment": "colours", "places": 1})
    logged = [record.request["path"] for record in caplog.records if record.name == "aiohooks.server.access"]  # type: ignore[attr-defined]
    assert logged == ["/live/collected/colours/1", "/live/do"]


async def test_servers_on_one_machine_have_cookies_of_their_own(model: Path) -> None:
    headers = {"Authorization": "Bearer s3cret"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        served.serving(model, token="s3cret") as one,
        served.serving(model, token="s3cret") as other,
        aiohttp.ClientSession(cookie_jar=jar) as browser,
    ):
        for server in (one, other):
            async with browser.post(f"{server.url}/live/session", headers=headers) as answer:
                assert answer.status == 200
        for server in (one, other):
            async with browser.get(f"{server.url}/live/session") as answer:
                assert answer.status == 200, "the cookie of the other server has taken its place"


async def test_too_many_browsers_are_told_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "MOST", 1)
    async with served.serving(model) as server, watching(server), server.client.get("/live/session") as answer:
        assert answer.status == 503
        assert "too many browsers" in (await answer.json())["error"]


async def test_a_run_that_takes_no_requests_has_no_places_to_change(model: Path) -> None:
    async with (
        ah.Deployment.load(model) as deployment,
        aiohooks.server.serve(app := create_live_app(deployment)) as (host, port),
        aiohttp.ClientSession(f"http://{host}:{port}") as client,
    ):
        server = served.Server(app, f"http://{host}:{port}", client, [deployment])
        async with watching(server) as events:
            told = (await events.next())["deployments"][0]
        assert told["settings"] == {"places": None, "room": None, "min_score": 0.0}
        assert "no places" in await do(server, {"do": "settings", "deployment": "colours", "places": 3}, 409)
        await do(server, {"do": "settings", "deployment": "colours", "min_score": 0.5})


async def test_the_model_s_own_thresholds_are_told(tmp_path: Path) -> None:
    parts = tiny_models.save(tiny_models.detector(), tmp_path / "parts.xml")
    async with served.serving(parts, load={"parameters": {"confidence_threshold": 0.25}}) as server:
        async with watching(server) as events:
            told = (await events.next())["deployments"][0]
        assert told["thresholds"]["confidence_threshold"] == 0.25
        assert told["picture_age"] is None


async def test_a_store_that_cannot_replay_says_so(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = ah.Deployment.load(model)
    spool = ah.Spool(str(tmp_path / "spool"))
    hook = deployment.add_hook(
        ah.PostInferenceHook(name="far", trigger=ah.AlwaysTrigger(), action=ah.LogAction(), delivery=spool)
    )

    async def replay() -> int:
        raise DeliveryError("the disk is full")

    async with served.serving(deployment) as server:
        monkeypatch.setattr(hook.delivery, "replay", replay)
        told = {"do": "replay", "deployment": "colours", "hook": 0, "name": "far"}
        assert await do(server, told, 409) == "far: the disk is full"


async def test_a_trigger_whose_file_is_gone_keeps_its_threshold(tmp_path: Path) -> None:
    file = tmp_path / "model.ood"
    ah.OODModel.fit_arrays(np.random.default_rng(0).normal(size=(400, 48))).save(file)
    colours = tiny_models.save(tiny_models.classifier(xai=True), tmp_path / "colours.xml")
    deployment = ah.Deployment.load(colours)
    hook = deployment.add_hook(
        ah.PostInferenceHook(name="strange", trigger=ah.OODTrigger(str(file)), action=ah.LogAction())
    )
    async with served.serving(deployment) as server:
        about = {"do": "threshold", "deployment": "colours", "hook": 0, "name": "strange", "path": "threshold"}
        await do(server, {**about, "value": 0.6})
        assert hook.hook.trigger.threshold == 0.6
        file.unlink()
        assert "model.ood" in await do(server, {**about, "value": 0.7}, 409)
        assert hook.hook.trigger.threshold == 0.6


async def test_spools_are_asked_at_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, all_are = [], anyio.Event()

    async def status() -> None:
        asked.append(None)
        if len(asked) == 6:
            all_are.set()
        await all_are.wait()
        raise DeliveryError("the store is away")

    deployment = ah.Deployment.load(model)
    for name in "abcdef":
        spool = ah.Spool(str(tmp_path / name))
        given = ah.PostInferenceHook(name=name, trigger=ah.AlwaysTrigger(), action=ah.LogAction(), delivery=spool)
        monkeypatch.setattr(deployment.add_hook(given).delivery, "status", status)
    async with served.serving(deployment) as server, watching(server) as events:
        told = await events.next()
        assert [hook["spool"]["error"] for hook in told["deployments"][0]["hooks"]] == ["the store is away"] * 6


def test_pictures_of_an_earlier_run_have_other_numbers_and_hooks_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    first, second = Collected(), Collected()
    stored = StoredFiles(image=str(tmp_path / "a.png"))
    for collected in (first, second):
        collected.add([Outcome("reds", OutcomeKind.DONE, "a", 0, value=stored)])
        assert collected.waits
        collected.keep("reds", "a", b"jpeg")
    assert first.pictures.keys().isdisjoint(second.pictures)
    first.forget_others({"reds"})
    assert first.pictures
    first.forget_others(set())
    assert (first.waits, dict(first.pictures), first.outcomes_of("reds"), first.pictures_of("reds")) == (
        False,
        {},
        [],
        [],
    )
    first.keep("reds", "late", b"jpeg")
    assert not first.pictures


def test_drift_is_read_within_its_share() -> None:
    assert pause_for(0.001) == SHORTEST_DRIFT_PAUSE
    assert pause_for(3.0) == 750.0


async def test_who_comes_again_does_not_have_drift_read_again(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def read(monitor: Any) -> tuple[str, float]:
        reads.append(monitor.name)
        return "there are no windows yet", 0.05

    monkeypatch.setattr("aiohooks.server.live.live_page.drift_pictures", read)
    async with served.serving(model) as server:
        page = page_of(server)
        monitors = [SimpleNamespace(name=name, is_drifting=False) for name in "ab"]
        monkeypatch.setattr(type(page.shown["colours"]), "drift_monitors", monitors)
        for _ in range(3):
            async with watching(server) as events:
                await events.until(lambda told: told["deployments"][0]["drift_version"] == 2)
                await events.next()
            await served.until(lambda: page.audience.count == 0)
        assert reads == ["a", "b"]
        assert page._drift_due > anyio.current_time() + 0.09 / 0.004


async def test_a_classifier_of_one_class_leaves_nothing_out(model: Path) -> None:
    async with served.serving(model) as server, watching(server) as events:
        assert (await events.next())["deployments"][0]["thresholds"] == {}


def test_what_is_seen_in_a_large_picture_is_drawn_on_a_small_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((1, 900, 1300), np.uint8)
    mask[0, 100:500, 130:650] = 1
    seen = ah.Prediction(
        task=Task.INSTANCE_SEGMENTATION, size=(900, 1300), labels=ah.Prediction.empty(Task.DETECTION, (1, 1), ["a"]).labels,
        boxes=np.array([[130, 100, 650, 500]], np.float32), scores=np.ones(1, np.float32), label_indices=np.zeros(1, np.int32),
        masks=mask, polygons=(np.array([[130, 100], [650, 100], [650, 500]], np.float32),),
        rotated_boxes=np.array([[390, 300, 520, 400, 30]], np.float32), keypoints=np.array([[390, 300, 0.5]], np.float32),
        label_map=mask[0], heat_map=mask[0].astype(np.float32),
    )  # fmt: skip
    little = shrunk(seen, (450, 650))
    assert (little.size, little.boxes.tolist()) == ((450, 650), [[65, 50, 325, 250]])
    assert little.masks is not None
    assert little.masks.shape == (1, 450, 650)
    assert little.masks.sum() == mask.sum() / 4
    assert little.polygons is not None
    assert little.polygons[0].tolist() == [[65, 50], [325, 50], [325, 250]]  # type: ignore[union-attr]
    assert little.rotated_boxes.tolist() == [[195, 150, 260, 200, 30]]  # type: ignore[union-attr]
    assert little.keypoints.tolist() == [[195, 150, 0.5]]  # type: ignore[union-attr]
    assert little.label_map.shape == little.heat_map.shape == (450, 650)  # type: ignore[union-attr]
    sizes = []
    draw_all = ah.Prediction.draw
    monkeypatch.setattr(
        ah.Prediction, "draw", lambda self, image: sizes.append((self.size, image.shape)) or draw_all(self, image)
    )
    whole = ah.Prediction.classification((901, 1303), ["a"], [0.9], [0])
    drawn = draw("d", ah.Frame(np.zeros((901, 1303, 3), np.uint8)), whole).message
    picture = cv2.imdecode(np.frombuffer(drawn[drawn.index(b"\xff\xd8\xff") :], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (443, 640, 3)
    assert sizes == [((443, 640), (443, 640, 3))]
    assert picture[:40, :60].max() > 200, "the label is written in the corner"
    assert picture[60:].max() < 30, "and nothing is drawn around all of the picture"
    assert shrunk(ah.Prediction.empty(Task.DETECTION, (900, 1300), ["a"]), (45, 65)).boxes.shape == (0, 4)
