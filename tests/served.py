"""A real server on loopback with tiny models, and a client of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import cv2
import numpy as np
import tiny_models
from aiohttp import web

import aiohooks as ah
import aiohooks.server


def png(image: Any = None, **colours: int) -> bytes:
    pixels = tiny_models.plain(**colours) if image is None else image
    return encoded(pixels, ".png")


def encoded(image: Any, suffix: str) -> bytes:
    return cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


@dataclass
class Server:
    """What `serving` gives: the app, where it listens, a session with it, and its deployments."""

    app: web.Application
    url: str
    client: aiohttp.ClientSession
    deployments: Sequence[ah.Deployment]

    @property
    def deployment(self) -> ah.Deployment:
        return self.deployments[0]

    @property
    def serving(self) -> Any:
        return self.app[aiohooks.server.SERVING]

    async def metrics(self) -> dict[str, float]:
        async with self.client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[:1] not in ("#", ""))
        }


@asynccontextmanager
async def serving(*models: Any, load: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Server]:
    """Serve models, or deployments; options are those of `create_app`."""
    deployments = [
        model if isinstance(model, ah.Deployment) else ah.Deployment.load(model, **load or {}) for model in models
    ]
    app = aiohooks.server.create_app(deployments, **options)
    async with aiohooks.server.serve(app) as (host, port):
        url = f"http://{host}:{port}"
        async with aiohttp.ClientSession(url, auto_decompress=True) as client:
            yield Server(app, url, client, deployments)


def colours(folder: Path, name: str = "colours") -> Path:
    return tiny_models.save(tiny_models.classifier(), folder / f"{name}.xml")


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what happens in the server once a connection has gone, of which a client hears nothing."""
    with anyio.fail_after(20):
        while not is_so():  # noqa: ASYNC110  # there is no event of it to wait for
            await anyio.sleep(0.005)
