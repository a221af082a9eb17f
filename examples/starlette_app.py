"""Use a model inside a Starlette app: post a picture, get the prediction as Intel Geti's JSON.

    pip install starlette uvicorn

    python examples/starlette_app.py             # sends itself two pictures and a text, and stops
    python examples/starlette_app.py --serve     # serves on port 8000 until Ctrl-C
    MODEL=my.xml python examples/starlette_app.py --serve

    curl --data-binary @cat.jpg http://127.0.0.1:8000/predict

Pictures of which the model is unsure are kept in the folder ``unsure_uploads``.
"""

import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import aiohooks as ah
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.posting import post_pictures
from aiohooks.demo.progress_bar import progress_bar

MAX_BODY_BYTES = 20 * 1024 * 1024
UNSURE = ah.PostInferenceHook(
    name="unsure",
    trigger=ah.ConfidenceTrigger(0.5),
    action=ah.FileSystemDataCollection("unsure_uploads", log_level="info"),
)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, ah.Deployment]]:
    """Open the deployment when the app starts; close it when the app stops, after its hooks have finished."""
    model = os.environ.get("MODEL") or await classifier()
    async with ah.Deployment.load(model) as deployment:
        deployment.add_hook(UNSURE)
        yield {"deployment": deployment}


async def predict(request: Request) -> JSONResponse:
    deployment: ah.Deployment = request.state.deployment
    try:
        prediction = await deployment.infer(await read_body(request))
    except ah.FrameError as error:  # the client's mistake; anything else is a 500 and stands in the log
        raise HTTPException(400, str(error)) from error
    return JSONResponse(prediction.to_geti())


async def read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"a picture may have {MAX_BODY_BYTES} bytes")
    return bytes(body)


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])], lifespan=lifespan)


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    with progress_bar() as progress:
        await classifier(progress)

    # The socket listens from here on: requests that come before the app has started wait for it.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            await post_pictures(f"http://{host}:{port}/predict")
            server.should_exit = True


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        uvicorn.run(app, host="127.0.0.1", port=8000)
    else:
        anyio.run(main)
