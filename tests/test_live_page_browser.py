"""The live page in a browser: on a phone, a laptop and a wide screen, light and dark."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import chromium
import live_fixtures
import pytest
import served

import aiohooks as ah
import aiohooks.server
from aiohooks.server.live import routes
from aiohooks.server.refusal import Refusal

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(chromium.PROGRAM is None, reason=chromium.MISSING)]

SHOWN = (
    "[...document.querySelectorAll('.view canvas')].length === 2 && "
    "[...document.querySelectorAll('.view canvas')].every((one) => one.getAttribute('aria-label').startsWith('Latest frame')) && "
    "document.querySelector('.pictures img')?.naturalWidth > 0 && document.querySelectorAll('.charts img').length > 2 && "
    "!document.getElementById('troubles').hidden && document.querySelectorAll('.spark:not([hidden])').length === 3"
)

PALE = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (one) => { const c = rgb(getComputedStyle(one).backgroundColor); return c.length > 3 && !c[3] && one.parentElement ? ground(one.parentElement) : c; };
  return [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((one) => { const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) < 4.5; })
    .map((one) => one.outerHTML.slice(0, 200));
})()"""
"""Texts with less contrast than WCAG 2.2 asks for (4.5 to 1)."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiohooks.server.live.live_page.FIGURES_SECONDS", 0.1)
        yield


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[served.Server]:
    async with live_fixtures.under_load(tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture(scope="module")
async def tab() -> AsyncIterator[chromium.Tab]:
    async with chromium.chromium() as tab:
        yield tab


async def until(tab: chromium.Tab, condition: str) -> None:
    waits = (
        f"new Promise((done) => {{ const look = () => ({condition}) ? done(true) : setTimeout(look, 30);"
        "setTimeout(() => done(false), 20000); look(); })"
    )
    assert await tab.run(waits), condition


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1024, "light"), (1920, "dark")])
async def test_it_fits_and_asks_nobody_else(tab: chromium.Tab, server: served.Server, width: int, scheme: str) -> None:
    await tab.open(server.url, width=width, scheme=scheme)
    await until(tab, SHOWN)
    assert await tab.run("document.documentElement.scrollWidth") <= width
    red, *_ = await tab.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red < 100) == (scheme == "dark")
    assert await tab.run("[...document.images].filter((one) => one.complete && !one.naturalWidth).length") == 0
    assert await tab.run(PALE) == []
    await tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert await tab.run("document.documentElement.scrollWidth") <= width
    small = "[...document.querySelectorAll('button, summary, input')].filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < (innerWidth < 600 ? 44 : 24)).length"
    assert await tab.run(small) == 0
    colours = "(() => { const one = document.querySelector('.view canvas'); return Math.max(...one.getContext('2d').getImageData(0, 0, one.width, one.height).data.filter((_, index) => index % 4 < 3)); })()"
    assert await tab.run(colours) > 150
    assert tab.complaints == []
    assert all(request.startswith(server.url) for request in tab.requests), tab.requests


async def test_it_can_be_used_without_eyes_or_mouse(tab: chromium.Tab, server: served.Server) -> None:
    await tab.open(server.url)
    await until(tab, SHOWN)
    unnamed = (
        "[...document.querySelectorAll('input, button, canvas, svg, section, img')].filter((one) => !one.hidden && !one.closest('[hidden]') && "
        "!(one.labels?.length || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.alt || one.textContent.trim())).length"
    )
    assert await tab.run(unnamed) == 0
    assert await tab.run("document.querySelectorAll('main').length") == 1
    assert await tab.run("document.querySelectorAll('h1').length") == 1
    await tab.press("Tab", 9)
    assert await tab.run("document.activeElement.className") == "skip"
    hook = server.deployments[0].hooks[0]
    await tab.run("document.querySelector('.hook button').focus()")
    await tab.press("Enter", 13, "\r")
    await until(tab, "document.querySelector('.hook button').textContent === 'Resume'")
    assert hook.paused
    assert "unsure is paused" in await tab.run("document.getElementById('said').textContent")
    assert await tab.run("document.querySelector('.hook button').getAttribute('aria-label')") == "Resume unsure"
    assert not await tab.run("document.querySelector('.hook .badge').hidden")
    await tab.press("Enter", 13, "\r")
    await until(tab, "document.querySelector('.hook button').textContent === 'Pause'")
    assert not hook.paused
    await tab.run(
        "(() => { const form = document.querySelectorAll('.hook form')[1]; form.closest('details').open = true; form.querySelector('input').value = '0.25';"
        "form.requestSubmit(); })()"
    )
    await until(tab, "document.getElementById('said').textContent.includes('0.25')")
    assert hook.hook.trigger.parts[1].threshold == 0.25
    assert tab.complaints == []
    input_ = "document.querySelectorAll('.hook form')[1].querySelector('input')"
    await tab.run(f"{input_}.value = '7'; {input_}.form.requestSubmit()")
    await until(tab, "document.getElementById('said').textContent.startsWith('not done')")
    await until(tab, f"{input_}.value === '0.25'")
    await tab.run(f"{input_}.focus(); {input_}.value = '7'")
    await tab.press("Escape", 27)
    assert await tab.run(f"{input_}.value") == "0.25"
    hook.set_rate(ah.Rate(1, per=3600, burst=2))
    rate = "document.querySelector('.hook form')"
    await until(tab, f"[...{rate}.querySelectorAll('input')].map((one) => one.value).join() === '1,3600'")
    assert await tab.run(f"{rate}.checkValidity()")
    await tab.run(f"{rate}.querySelector('input').value = '2'; {rate}.requestSubmit()")
    await until(tab, "document.getElementById('said').textContent.includes('2 times in 3600 s')")
    assert hook.hook.rate == ah.Rate(2, per=3600, burst=2)
    assert await tab.run("document.querySelectorAll('main b').length") == 0, "names are text"
    assert live_fixtures.NAME in await tab.run("document.body.textContent")


async def test_the_token_is_asked_for(tab: chromium.Tab, tmp_path: Any) -> None:
    async with served.serving(served.colours(tmp_path), token="s3cret") as server:
        await tab.open(server.url)
        await until(tab, "!document.getElementById('entry').hidden")
        for token, condition in (
            ("wrong", "document.getElementById('refused').textContent === 'That is not the token.'"),
            ("s3cret", "document.documentElement.dataset.ready === 'yes'"),
        ):
            await tab.run(
                f"document.getElementById('token').value = '{token}'; document.getElementById('sign-in').requestSubmit()"
            )
            await until(tab, condition)
        assert await tab.run("document.cookie") == "", "scripts do not see the cookie"
        await tab.open("about:blank")


async def test_figures_come_where_a_proxy_keeps_out_the_pictures(
    tab: chromium.Tab, server: served.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(headers: Any, host: str) -> None:
        if headers.get("Upgrade"):
            raise Refusal(403, "web sites of other hosts may not ask this")

    monkeypatch.setattr(routes, "check_same_origin", refuse)
    await tab.open(server.url)
    await until(tab, "document.getElementById('state').textContent.includes('does a proxy pass on WebSockets')")
    done = await tab.run("document.querySelector('dl div:nth-child(6) dd').textContent")
    await until(tab, f"document.querySelector('dl div:nth-child(6) dd').textContent !== '{done}'")


async def test_it_comes_back_with_the_server(tab: chromium.Tab, tmp_path: Any) -> None:
    model = served.colours(tmp_path)
    async with aiohooks.server.serve(aiohooks.server.create_app(ah.Deployment.load(model))) as (host, port):
        await tab.open(f"http://{host}:{port}")
        await until(tab, "document.getElementById('state').textContent === '1 deployment, live'")
    await until(tab, "document.getElementById('state').textContent.includes('trying again')")
    async with aiohooks.server.serve(aiohooks.server.create_app(ah.Deployment.load(model)), port=port):
        await until(tab, "document.getElementById('state').textContent === '1 deployment, live'")
        await tab.open("about:blank")
