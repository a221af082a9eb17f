"""Infer on another machine, react here: hooks and ordered streams over a served model.

    python examples/remote_inference.py                              # serves a model itself, and asks it
    python examples/remote_inference.py http://cluster:8000 animals  # asks what `aiohooks serve animals=…` serves there

A model on OpenVINO Model Server, KServe or Triton needs its file here too, which says how pictures become tensors:
``ah.Deployment.remote(url, "animals", like="animals.xml")``.
"""

import logging
import os
import sys
from contextlib import AsyncExitStack

import anyio

import aiohooks as ah
from aiohooks.demo.assets import ASTRONAUT, CHELSEA, COFFEE
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar
from aiohooks.server import create_app, serve


async def served_here(stack: AsyncExitStack) -> tuple[str, str]:
    """Serve a model on this machine; return the URL and its name there."""
    model = os.environ.get("MODEL") or await classifier()
    host, port = await stack.enter_async_context(serve(create_app({"pictures": ah.Deployment.load(model)})))
    return f"http://{host}:{port}", "pictures"


async def main(arguments: list[str]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    with progress_bar() as progress:
        pictures = await fetch([CHELSEA, COFFEE, ASTRONAUT], progress=progress)

    unsure = ah.PostInferenceHook(name="unsure", trigger=ah.ConfidenceTrigger(0.5), action=ah.LogAction())
    async with AsyncExitStack() as stack:
        url, name = arguments if len(arguments) == 2 else await served_here(stack)
        deployment = await stack.enter_async_context(ah.Deployment.remote(url, name))
        running = deployment.add_hook(unsure)
        async with deployment.stream(ah.images(pictures)) as results:
            async for result in results:
                top = result.prediction.top
                print(
                    result.index, result.frame.name, "nothing" if top is None else f"{top.name} {top.probability:.0%}"
                )
        await deployment.drained()
        print(f"the hook saw {running.counts.seen} pictures here, and was unsure of {running.counts.fired}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
