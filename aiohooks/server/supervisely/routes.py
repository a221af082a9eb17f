"""The addresses of Supervisely's inference protocol."""

from collections.abc import AsyncIterator, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from aiohooks.server.answers import encode
from aiohooks.server.exchange import exchange_of
from aiohooks.server.long_work import in_thread_if
from aiohooks.server.serving import Serving
from aiohooks.server.supervisely import async_jobs, information, pictures, polling
from aiohooks.server.supervisely.context import Context, Method
from aiohooks.server.supervisely.fetch import Fetcher, UrlFetch
from aiohooks.server.supervisely.media import Media
from aiohooks.server.supervisely.work import Jobs

MANY_MEDIA = 500
"""So many are listed in about half a millisecond."""

_BEFORE_NAME = "/net"
"""As on the platform, where the token of a session comes next; here it is the name of a deployment."""


class SuperviselyProtocol:
    """Answers Supervisely's clients.

    A method is at ``/{method}`` for the first deployment, and at ``/net/{deployment}/{method}`` for any.

    Args:
        serving: the deployments.
        media: pictures and videos that clients may ask for by id.
        allow_url_fetch: where pictures are fetched from, by the URLs that clients name.
    """

    def __init__(self, serving: Serving, *, media: Media, allow_url_fetch: UrlFetch) -> None:
        self._jobs = Jobs(serving.limits.idle_seconds)
        self._context = Context(serving, media, self._jobs, Fetcher(allow_url_fetch))

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the addresses."""
        context = self._context
        methods = {
            **information.methods(context),
            **pictures.methods(context),
            **async_jobs.methods(context),
            **polling.methods(context),
        }
        for name, method in methods.items():
            yield web.post(f"/{name}", self._handler(method))
            yield web.post(f"{_BEFORE_NAME}/{{deployment}}/{name}", self._handler(method))
        yield web.get("/media", self._media)

    async def hold(self, _: web.Application) -> AsyncIterator[None]:
        """Have jobs from the start of an application to its end."""
        await self._jobs.open()
        yield
        await self._jobs.aclose()

    async def drain(self, _: web.Application) -> None:
        """Stop the jobs: their clients could not ask for results any more."""
        self._jobs.stop_all()

    def _handler(self, method: Method) -> Handler:
        serving = self._context.serving

        async def handle(request: web.Request) -> web.StreamResponse:
            name = request.match_info.get("deployment")
            served = serving.find(name) if name is not None else serving.first
            exchange_of(request).deployment = served.name
            return await method(request, served)

        return handle

    async def _media(self, _: web.Request) -> web.Response:
        media = await self._context.media.all()
        kinds = {True: "video", False: "picture"}

        def write() -> bytes:
            return encode([{"id": each.id, "name": each.name, "kind": kinds[each.is_video]} for each in media])

        body = await in_thread_if(len(media) > MANY_MEDIA, write)
        return web.Response(body=body, content_type="application/json")
