"""What the answers of the protocol share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread
from aiohttp import web

from aiohooks.server.exchange import exchange_of
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Served, Serving
from aiohooks.server.supervisely.fetch import Fetcher
from aiohooks.server.supervisely.media import Media
from aiohooks.server.supervisely.state import LARGE_BYTES, MAX_BODY_BYTES, State, state_of_body
from aiohooks.server.supervisely.work import Jobs


@dataclass(frozen=True, slots=True)
class Context:
    """What the answers of the protocol share.

    Attributes:
        serving: the deployments.
        media: pictures and videos by id.
        jobs: what is inferred while its client asks for the results.
        fetcher: of pictures by URL.
        reader: of large JSON, which holds the interpreter and takes memory many times its size: one at a time.
    """

    serving: Serving
    media: Media
    jobs: Jobs
    fetcher: Fetcher
    reader: anyio.CapacityLimiter = field(default_factory=partial(anyio.CapacityLimiter, 1))

    async def state(self, request: web.Request) -> State:
        """Return the state in a request's JSON body.

        Raises:
            Refusal: the body is not such JSON, or too large.
        """
        body = await self.serving.bodies.read(request)
        most = min(MAX_BODY_BYTES, self.serving.limits.json_bytes)
        if len(body) > most:
            raise Refusal(413, f"the JSON of a request may have {most} bytes")
        if len(body) <= LARGE_BYTES:
            return state_of_body(body)
        return await anyio.to_thread.run_sync(state_of_body, body, limiter=self.reader)

    def max_pixels(self, served: Served) -> int:
        """Return how many pixels a picture for this deployment may have."""
        return min(self.serving.limits.pixels, served.deployment.max_pixels)


Method = Callable[[web.Request, Served], Awaitable[web.Response]]
"""Answers a request to a deployment."""


def client_of(request: web.Request) -> str:
    """Return who asks."""
    return exchange_of(request).client
