"""Deployments as an aiohttp application."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping

from aiohttp import web

from aiohooks.deployment import Deployment
from aiohooks.server import health, native, open_inference
from aiohooks.server.access import Access, token_from
from aiohooks.server.gate import Gate, Tracing
from aiohooks.server.limits import Limits
from aiohooks.server.metrics import MoreFamilies
from aiohooks.server.metrics import routes as metric_routes
from aiohooks.server.serving import Serving
from aiohooks.server.supervisely.fetch import UrlFetch
from aiohooks.server.supervisely.media import Media, MediaSources
from aiohooks.server.supervisely.routes import SuperviselyProtocol
from aiohooks.server.tally import Tally

Routes = Callable[[Serving], Iterable[web.RouteDef]]
"""Makes the addresses of a protocol."""

TALLY = web.AppKey("aiohooks.tally", Tally)
"""Where an application counts its requests."""

SERVING = web.AppKey("aiohooks.serving", Serving)
"""Where an application keeps what it serves."""

PROTOCOLS: Mapping[str, Routes] = {"native": native.routes, "open_inference": open_inference.routes}
"""The protocols, by the names under which their requests are counted."""


HEALTH = "health"
"""What probes ask, which have no token; it tells nothing else."""


def create_app(
    deployments: Deployment | Iterable[Deployment] | Mapping[str, Deployment],
    *,
    token: str | None = None,
    token_env: str | None = None,
    hosts: Collection[str] | None = None,
    limits: Limits | None = None,
    media: MediaSources = (),
    allow_url_fetch: UrlFetch = False,
    tracing: Tracing | None = None,
    metrics: Iterable[MoreFamilies] = (),
) -> web.Application:
    """Return an application that serves deployments, to be run, extended, or mounted by ``add_subapp``.

    Run it with ``web.AppRunner(app, handler_cancellation=True)``, as `serve` does, so that work for clients that have left is stopped.

    Args:
        deployments: one, several, or a mapping from the names that clients use. Those that are not open are opened when the
            application starts, and closed, after their hooks, when it has ended.
        token: that clients have to send, as ``Authorization: Bearer …``. Without one only this machine is answered.
        token_env: environment variable that holds the token.
        hosts: names that the server goes by, without ports; by default any if there is a token, else those of this machine.
        limits: what clients may ask.
        media: folders whose pictures and videos clients may ask for by id (``GET /media`` lists them), or a mapping from ids to files.
        allow_url_fetch: fetch pictures from the URLs that clients name: True from public addresses, a list of hosts only from those,
            wherever they are.
        tracing: has a span around each request, such as `open_telemetry.spans`.
        metrics: functions that return more for ``/metrics``, such as what a monitor has to tell.

    Raises:
        SpecError: the environment variable is not set, or a folder of ``media`` is none.
        DeploymentError: there is no deployment, or two have the same name.
    """
    serving = Serving(deployments, limits)
    tally = Tally()
    protocols: dict[object, str] = {}
    gate = Gate(
        serving,
        access=Access(token=token_from(token, token_env), hosts=hosts),
        tally=tally,
        protocols=protocols,
        open_protocols=[HEALTH],
        tracing=tracing,
    )
    # Bodies are read by our own reader, which has limits of its own.
    app = web.Application(middlewares=[gate.middleware])
    app[SERVING], app[TALLY] = serving, tally
    supervisely = SuperviselyProtocol(serving, media=Media(media), allow_url_fetch=allow_url_fetch)
    families = {
        "supervisely": supervisely.routes(),
        **{name: routes(serving) for name, routes in PROTOCOLS.items()},
        HEALTH: health.routes(serving),
        "metrics": metric_routes(serving, tally, metrics),
    }
    for protocol, routes in families.items():
        for definition in routes:
            for route in definition.register(app.router):
                protocols[route.resource] = protocol
    app.cleanup_ctx.append(_hold(serving))
    app.cleanup_ctx.append(supervisely.hold)
    app.on_shutdown.append(_drain)
    app.on_shutdown.append(supervisely.drain)
    return app


def _hold(serving: Serving) -> Callable[[web.Application], AsyncIterator[None]]:
    async def hold(_: web.Application) -> AsyncIterator[None]:
        await serving.open()
        yield
        await serving.aclose()

    return hold


async def _drain(app: web.Application) -> None:  # noqa: ASYNC124  # a signal of aiohttp's
    app[SERVING].drain()
