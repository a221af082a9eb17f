"""Servers under load: clients that leave, and the end."""

import asyncio
import gc
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
import served
import server_process
import serving_load
from aiohttp import web
from sources_fixtures import encode, needs_proc, smooth_picture

import aiohooks as ah
import aiohooks.server
from aiohooks.server import Limits

pytestmark = pytest.mark.anyio

PATH = "/deployments/colours/infer"
PICTURE = encode(smooth_picture(400, 300), "PNG")


def resident_megabytes() -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def check_leaving(model: Path, count: int) -> None:
    """Let clients leave at random, and find every request counted once and nothing left behind."""
    seen: Counter[str] = Counter()

    @web.middleware
    async def counting(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Counts beside the server's own counts."""
        seen["begun"] += 1
        try:
            answer = await handler(request)
        except asyncio.CancelledError:
            seen["499"] += 1
            raise
        seen[str(answer.status)] += 1
        return answer

    outer = web.Application(middlewares=[counting])
    app = aiohooks.server.create_app(ah.Deployment.load(model), limits=Limits(running=4, waiting=12))
    outer.add_subapp("/served/", app)
    async with aiohooks.server.serve(outer) as (_, port):
        serving = app[aiohooks.server.SERVING]
        deployment = serving.find("colours").deployment
        hook = deployment.add_hook(ah.PostInferenceHook(trigger=ah.AlwaysTrigger(), action=ah.LogAction(level="debug")))
        path = f"/served{PATH}"
        await serving_load.leaving(port, path, PICTURE, count // 5, seed=1)  # until caches and pools have their size
        tasks, memory = len(asyncio.all_tasks()), resident_megabytes()
        before = seen.copy()
        counts = await serving_load.leaving(port, path, PICTURE, count, seed=2)
        admission = serving.find("colours").admission
        await served.until(lambda: not admission.running and len(asyncio.all_tasks()) <= tasks)
        await deployment.drained()
        gc.collect()
        assert resident_megabytes() - memory < 30
        assert (admission.running, admission.waiting, serving.bodies.held_bytes) == (0, 0, 0)
        assert (deployment.model._queue.running, deployment.model._queue.waiting) == (0, 0)
        ours = sum(
            hits
            for (protocol, name, _), hits in app[aiohooks.server.TALLY].requests.items()
            if (protocol, name) == ("native", "colours")
        )
    seen -= before
    assert not counts["broken"]
    assert counts["answered"] > count / 10  # of those that stay; a busy machine refuses more
    assert seen["begun"] == seen["200"] + seen["499"] + seen["503"] + seen["400"]
    assert ours == (seen + before)["begun"]
    assert counts["answered"] <= seen["200"]
    assert counts["refused"] <= seen["503"]
    assert hook.counts.seen == hook.counts.done


@needs_proc
async def test_clients_that_leave_leave_nothing_behind(tmp_path: Path) -> None:
    await check_leaving(served.colours(tmp_path), 500)


@needs_proc
def test_what_was_accepted_is_answered_before_the_end(tmp_path: Path) -> None:
    async def load_and_end(server: server_process.ServerProcess) -> tuple[Counter[str], int]:
        counts: Counter[str] = Counter()

        at_work = anyio.Event()

        async def load() -> None:
            answers = serving_load.until_it_ends(server.port, PATH, PICTURE, 24, enough=100, has_enough=at_work)
            counts.update(await answers)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            await at_work.wait()
            code = await anyio.to_thread.run_sync(server.end)
        return counts, code

    with server_process.serving(served.colours(tmp_path), "--limit", "waiting=10", "--access-log", "json") as server:
        counts, code = asyncio.run(load_and_end(server))
    lines = [line for line in server.said if line.startswith("{")]
    assert code == 0
    assert counts["200"] >= 100
    assert counts["not accepted"] == 24
    assert not counts["broken"], counts
    assert len(lines) == counts["200"] + counts["503"]  # each is logged once
    assert any("what was accepted is answered first" in line for line in server.said)
