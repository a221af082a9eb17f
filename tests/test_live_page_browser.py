"""The live page in a browser: on a phone, a laptop and a wide screen, light and dark."""

from collections.abc import AsyncIterator
from typing import Any

import chromium
import live_fixtures
import pytest
import served

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(chromium.PROGRAM is None, reason=chromium.MISSING)]

SHOWN = (
    "[...document.querySelectorAll('.view canvas')].length === 2 && "
    "[...document.querySelectorAll('.view canvas')].every((one) => one.getAttribute('aria-label').startsWith('Latest frame')) && "
    "document.querySelector('.pictures img')?.naturalWidth > 0 && document.querySelectorAll('.charts img').length > 2 && "
    "!document.getElementById('troubles').hidden && document.querySelectorAll('.spark:not([hidden])').length === 3"
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


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
    await until(tab, "document.querySelector('.hook button').getAttribute('aria-pressed') === 'true'")
    assert hook.paused
    assert "unsure is paused" in await tab.run("document.getElementById('said').textContent")
    await tab.press("Enter", 13, "\r")
    await until(tab, "document.querySelector('.hook button').getAttribute('aria-pressed') === 'false'")
    assert not hook.paused
    await tab.run(
        "(() => { const form = document.querySelectorAll('.hook form')[1]; form.closest('details').open = true; form.querySelector('input').value = '0.25';"
        "form.requestSubmit(); })()"
    )
    await until(tab, "document.getElementById('said').textContent.includes('0.25')")
    assert hook.hook.trigger.parts[1].threshold == 0.25
    assert await tab.run("document.querySelectorAll('main b').length") == 0, "names are text"
    assert live_fixtures.NAME in await tab.run("document.body.textContent")
    assert tab.complaints == []


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
