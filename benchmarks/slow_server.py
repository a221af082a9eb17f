"""An HTTP server in a process of its own that takes its time for each answer, and counts them: what hooks send to."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio.to_thread
from aiohttp import web

SECONDS = 0.02
COUNTS = "/counts"


@dataclass(frozen=True)
class SlowServer:
    """One that runs.

    Attributes:
        url: any path below it can be sent to.
    """

    url: str

    def answered(self, path: str) -> int:
        """Return how many requests to a path it has answered."""
        with urllib.request.urlopen(self.url + COUNTS) as answer:
            return json.load(answer).get(path, 0)


@contextmanager
def running() -> Iterator[SlowServer]:
    """Run one until the context ends."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield SlowServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        process.communicate()


async def serve() -> None:
    """Answer until standard input ends."""
    counts: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if request.path == COUNTS:
            return web.json_response(counts)
        await asyncio.sleep(SECONDS)
        counts[request.path] += 1
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await anyio.to_thread.run_sync(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
