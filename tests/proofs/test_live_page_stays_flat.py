"""A minute of the live page in a browser, at every width, light and dark: nothing to complain of, and its memory stays where it is."""

import statistics
from pathlib import Path

import anyio
import chromium
import live_fixtures
import pytest
from loops import on_one_loop

pytestmark = [
    pytest.mark.anyio,
    on_one_loop,
    pytest.mark.proof,
    pytest.mark.skipif(chromium.PROGRAM is None, reason=chromium.MISSING),
]

SECONDS = 60
GROWTH_BYTES = 400_000


async def test_the_memory_of_the_tab_stays_flat(tmp_path: Path) -> None:
    async with live_fixtures.under_load(tmp_path) as server, chromium.chromium() as tab:
        for width in (390, 1024, 1920):
            for scheme in ("light", "dark"):
                await tab.open(server.url, width=width, scheme=scheme)
                await anyio.sleep(2)
                assert await tab.run("document.documentElement.dataset.ready") == "yes"
                assert await tab.run("document.documentElement.scrollWidth") <= width
                assert tab.complaints == []
                assert all(request.startswith(server.url) for request in tab.requests)
        await tab.send("HeapProfiler.enable")
        await anyio.sleep(10)  # until the histories of the page are full of something
        found = []
        for _ in range(SECONDS // 5):
            await anyio.sleep(5)
            await tab.send("HeapProfiler.collectGarbage")
            used = (await tab.send("Runtime.getHeapUsage"))["usedSize"]
            nodes = (await tab.send("Memory.getDOMCounters"))["nodes"]
            found.append((used, nodes))
        early, late = found[: len(found) // 3], found[-(len(found) // 3) :]
        grown = statistics.median(used for used, _ in late) - statistics.median(used for used, _ in early)
        print(
            f"heap: {found[0][0] / 1e6:.2f} MB, then {found[-1][0] / 1e6:.2f} MB; nodes: {found[0][1]}, then {found[-1][1]}"
        )
        assert grown < GROWTH_BYTES
        assert late[-1][1] - early[-1][1] < 500
        assert tab.complaints == []
        assert all(request.startswith(server.url) for request in tab.requests)
        assert (await tab.run("document.getElementById('state').textContent")).endswith("live")
