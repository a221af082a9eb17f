"""Keep what a hook collects until a server has it, though the server is down at first.

    python examples/durable_delivery.py            # city traffic
    python examples/durable_delivery.py my.mp4     # your video

The hook posts pictures to a server on this machine. In the first run nobody listens there: the events stay in the folder ``to_deliver``. In the
second, without a single new frame, they are delivered.
"""

import sys
from collections import Counter
from pathlib import Path

import anyio
from aiohttp import web

import aiohooks as ah
from aiohooks.demo.assets import BIKES_VIDEO
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar

PORT = 8765
HOOK = ah.PostInferenceHook(
    name="unsure",
    trigger=ah.ConfidenceTrigger(0.3),
    action=ah.HttpRequestAction(f"http://127.0.0.1:{PORT}/", "POST", include_image="multipart", log_level="debug"),
    delivery=ah.Delivery(ah.Spool("to_deliver", max_bytes=100_000_000), max_concurrency=2, longest_backoff=5.0),
    max_pending=10,
)


class Receiver:
    """A server that knows by their key which events it has already."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    async def receive(self, request: web.Request) -> web.Response:
        """Take in one event."""
        await request.read()
        self.seen[request.headers["Idempotency-Key"]] += 1
        return web.Response(text="thank you")


async def main(path: str | Path | None) -> None:
    with progress_bar() as progress:
        model = await classifier(progress)
        path = path or (await fetch([BIKES_VIDEO], progress=progress))[0]

    async with ah.Deployment.load(model, drain_timeout=1) as deployment:
        hook = deployment.add_hook(HOOK)
        async for result in deployment.stream(ah.video(path, end=40)):
            if not result.ok:
                print(f"frame {result.index}: {result.error}")
    assert hook.delivery is not None
    status = await hook.delivery.status()
    print(f"nobody listens: {hook.counts.done} events kept, {status.delivered} delivered")

    receiver = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/", receiver.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    # Any later run of a deployment with this hook would deliver, too; this needs no model.
    async with ah.deliver(HOOK) as hook:
        await hook.delivered()
    await runner.cleanup()
    assert hook.delivery is not None
    status = await hook.delivery.status()
    print(
        f"now the server is there: {status.delivered} delivered, {sum(receiver.seen.values()) - len(receiver.seen)} of them twice"
    )


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
