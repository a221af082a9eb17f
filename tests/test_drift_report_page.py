"""The report in a browser: on a phone, a laptop and a wide screen, light and dark."""

from collections.abc import AsyncIterator
from pathlib import Path

import chromium
import drift_report_fixtures as made
import pytest

from aiohooks import DriftReport

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(chromium.PROGRAM is None, reason=chromium.MISSING)]

CHOSEN = "document.getElementById('choice').value"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    made.write(folder / "drift.db")
    DriftReport.read(folder / "drift.db", bin="day").save(folder / "report.html")
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
async def tab() -> AsyncIterator[chromium.Tab]:
    async with chromium.chromium() as tab:
        yield tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1920])
async def test_it_fits_and_asks_for_nothing(
    tab: chromium.Tab, page: str, width: int, scheme: str, tmp_path: Path
) -> None:
    await tab.open(page, width=width, scheme=scheme)
    assert await tab.run("document.documentElement.dataset.ready") == "yes"
    assert await tab.run("document.documentElement.scrollWidth") <= width
    red, *_ = await tab.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red < 100) == (scheme == "dark")
    broken = "[...document.images].filter((one) => one.complete && !one.naturalWidth).length"
    assert await tab.run(broken) == 0
    assert await tab.run("document.querySelectorAll('#pictures img').length") > 5
    assert tab.complaints == []
    assert tab.requests == [page]


async def test_windows_are_chosen_by_click_and_by_keyboard(tab: chromium.Tab, page: str) -> None:
    await tab.open(page, width=1024)
    first = await tab.run(CHOSEN)
    assert first in ("2", "3")
    pictures = "[...document.querySelectorAll('#pictures img')].map((one) => one.src).join()"
    seen = {await tab.run(pictures)}
    x, y = await tab.run(
        "(() => { const chart = document.querySelector('.time:not(.narrow) svg'); chart.scrollIntoView(); const box = chart.getBoundingClientRect();"
        "return [box.left + box.width * 0.1, box.top + box.height / 2]; })()"
    )
    await tab.click(x, y)
    assert await tab.run(CHOSEN) == "0"
    assert await tab.run("document.getElementById('earlier').disabled") is True
    seen.add(await tab.run(pictures))
    await tab.run("document.getElementById('later').focus()")
    await tab.press("Enter", 13, "\r")
    assert await tab.run(CHOSEN) == "1"
    seen.add(await tab.run(pictures))
    assert len(seen) >= 2
    assert "p = " in await tab.run("document.getElementById('verdict').textContent")
    assert await tab.run("document.querySelectorAll('#map .chosen').length") > 60
    assert await tab.run("document.querySelectorAll('.time svg > .chosen').length") > 10
    assert tab.complaints == []
    assert tab.requests == [page]


async def test_names_are_text(tab: chromium.Tab, page: str) -> None:
    await tab.open(page)
    assert await tab.run("document.querySelectorAll('b, i').length") == 0
    links = await tab.run("[...document.querySelectorAll('#pictures a')].map((one) => one.href)")
    assert all(link.startswith("https://pictures.invalid/") for link in links)
    assert tab.requests == [page], "an address of a picture is a link"
