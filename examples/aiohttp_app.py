"""Use a model inside an aiohttp app: post a picture, get the prediction as Intel Geti's JSON.

    python examples/aiohttp_app.py             # sends itself two pictures and a text, and stops
    python examples/aiohttp_app.py --serve     # serves on port 8000 until Ctrl-C
    MODEL=my.xml python examples/aiohttp_app.py --serve

    curl --data-binary @cat.jpg http://127.0.0.1:8000/predict

Pictures of which the model is unsure are kept in the folder ``unsure_uploads``.
"""

import logging
import os
import sys
from collections.abc import AsyncIterator

import anyio
from aiohttp import web

import aiohooks as ah
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.posting import post_pictures
from aiohooks.demo.progress_bar import progress_bar

DEPLOYMENT = web.AppKey("DEPLOYMENT", ah.Deployment)
MAX_BODY_BYTES = 20 * 1024 * 1024
UNSURE = ah.PostInferenceHook(
    name="unsure",
    trigger=ah.ConfidenceTrigger(0.5),
    action=ah.FileSystemDataCollection("unsure_uploads", log_level="info"),
)


async def hold_deployment(app: web.Application) -> AsyncIterator[None]:
    """Open the deployment when the app starts; close it when the app stops, after its hooks have finished."""
    model = os.environ.get("MODEL") or await classifier()
    deployment = app[DEPLOYMENT] = ah.Deployment.load(model)
    deployment.add_hook(UNSURE)
    await deployment.open()
    yield
    await deployment.aclose()


async def predict(request: web.Request) -> web.Response:
    try:
        prediction = await request.app[DEPLOYMENT].infer(await request.read())
    except ah.FrameError as error:  # the client's mistake; anything else is a 500 and stands in the log
        raise web.HTTPBadRequest(text=str(error)) from error
    return web.json_response(prediction.to_geti())


def create_app() -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(hold_deployment)
    app.router.add_post("/predict", predict)
    return app


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    with progress_bar() as progress:
        await classifier(progress)

    runner = web.AppRunner(create_app())
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        await post_pictures(f"http://{host}:{port}/predict")
    finally:
        with anyio.move_on_after(10, shield=True):
            await runner.cleanup()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        web.run_app(create_app(), host="127.0.0.1", port=8000)
    else:
        anyio.run(main)
