"""Whether the server lives, and whether it takes requests: for load balancers and orchestrators."""

from collections.abc import Iterable

from aiohttp import web

from aiohooks.server.answers import json_answer
from aiohooks.server.serving import Serving

LIVE = "/v2/health/live"
READY = "/v2/health/ready"


def routes(serving: Serving) -> Iterable[web.RouteDef]:
    """Return the addresses."""

    async def live(_: web.Request) -> web.Response:  # noqa: ASYNC124  # aiohttp awaits it
        return json_answer({"live": True})

    async def ready(_: web.Request) -> web.Response:  # noqa: ASYNC124  # aiohttp awaits it
        return json_answer({"ready": serving.is_ready}, status=200 if serving.is_ready else 503)

    return [web.get(LIVE, live), web.get(READY, ready)]
