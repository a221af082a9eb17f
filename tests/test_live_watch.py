"""What the live page keeps of inferences, whose picture it draws next, and what it leaves behind."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import numpy as np
import pytest
import served
import tiny_models
from hook_fixtures import prediction
from loops import on_one_loop
from test_live_page import hook_of, watching

import aiohooks as ah
from aiohooks.server.live import watch as watch_module
from aiohooks.server.live.live_page import LivePage
from aiohooks.server.live.troubles import Troubles
from aiohooks.server.live.watch import Watch

pytestmark = [pytest.mark.anyio, on_one_loop]


@pytest.mark.parametrize("in_a_thread", [True, False])
async def test_a_sighting_keeps_its_pixels(in_a_thread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = np.full((8, 8, 3), 7, np.uint8)
    monkeypatch.setattr(watch_module, "LARGE_BYTES", buffer.nbytes - in_a_thread)
    watch = Watch(lambda: None)
    watch.want()
    await watch.observe(ah.Frame(buffer), prediction())
    buffer[:] = 0
    assert watch.take().frame.image.min() == 7


async def test_only_what_is_wanted_is_taken() -> None:
    came: list[int] = []
    watch = Watch(lambda: came.append(1))
    frame = ah.Frame(np.zeros((8, 8, 3), np.uint8))
    await watch.observe(frame, prediction())
    assert not watch.has_one
    watch.want()
    for _ in range(2):
        await watch.observe(frame, prediction())
    assert watch.has_one
    assert came == [1]
    watch.take()
    watch.want()
    watch.forget()
    await watch.observe(frame, prediction())
    assert not watch.has_one


async def test_the_deployment_that_was_drawn_longest_ago_is_next() -> None:
    page = LivePage(cast("Any", ()))
    page.shown = cast("Any", {name: SimpleNamespace(watch=Watch(lambda: None)) for name in "abc"})
    for name, seconds in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        watch = page.shown[name].watch
        watch.seconds = seconds
        watch.want()
        await watch.observe(ah.Frame(np.zeros((8, 8, 3), np.uint8)), prediction())
    order = []
    for now in (4.0, 5.0, 6.0):
        found = await page._next_sighting()
        order.append(next(name for name, shown in page.shown.items() if shown is found))
        found.watch.take()
        found.watch.seconds = now
    assert order == ["b", "c", "a"]


async def test_what_hooks_collected_is_shown_though_nothing_is_inferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohooks.server.live.live_page.FIGURES_SECONDS", 0.03)
    deployment = ah.Deployment.load(served.colours(tmp_path))
    for name in ("one", "two"):
        action = ah.FileSystemDataCollection(tmp_path / name)
        deployment.add_hook(ah.PostInferenceHook(name=name, trigger=ah.AlwaysTrigger(), action=action))
    async with served.serving(deployment) as server, watching(server) as events:
        await events.next()
        await deployment.infer(tiny_models.plain(red=255))
        await events.until(lambda told: all(hook_of(told, index)["pictures"] for index in range(2)))


async def test_streams_end_as_soon_as_the_server_drains_and_the_log_is_left_alone(tmp_path: Path) -> None:
    log = logging.getLogger("aiohooks")
    before = list(log.handlers)
    async with (
        served.serving(served.colours(tmp_path)) as server,
        server.client.get("/live/events") as answer,
        server.client.ws_connect("/live/pictures") as pictures,
    ):
        assert any(isinstance(one, Troubles) for one in log.handlers)
        server.serving.drain()
        with anyio.fail_after(10):
            await answer.content.read()
            assert (await pictures.receive()).type.name in ("CLOSE", "CLOSING", "CLOSED")
    assert log.handlers == before
