"""Deployments as an aiohttp application."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping

from aiohttp import web

from aiohooks.deployment import Deployment
from aiohooks.server import expectation, health, native, open_inference
from aiohooks.server.access import Access, token_from
from aiohooks.server.gate import Gate, Tracing
from aiohooks.server.limits import Limits
from aiohooks.server.live import LivePage
from aiohooks.server.live import routes as live_routes
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
    live: bool = True,
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
        live: have a page at ``/`` that shows the deployments at work and lets whoever may ask the server pause hooks and change settings.

    Raises:
        SpecError: the environment variable is not set, or a folder of ``media`` is none.
        DeploymentError: there is no deployment, or two have the same name.
    """
    serving = Serving(deployments, limits)
    supervisely = SuperviselyProtocol(serving, media=Media(media), allow_url_fetch=allow_url_fetch)
    tally = Tally()
    app = _application(
        serving,
        tally,
        {
            "supervisely": supervisely.routes(),
            **{name: routes(serving) for name, routes in PROTOCOLS.items()},
            HEALTH: health.routes(serving),
            "metrics": metric_routes(serving, tally, metrics),
        },
        access=Access(token=token_from(token, token_env), hosts=hosts),
        tracing=tracing,
        page=LivePage(serving) if live else None,
    )
    app.cleanup_ctx.append(supervisely.hold)
    app.on_shutdown.append(supervisely.drain)
    return app


def create_live_app(
    deployments: Deployment | Iterable[Deployment] | Mapping[str, Deployment],
    *,
    token: str | None = None,
    token_env: str | None = None,
    hosts: Collection[str] | None = None,
) -> web.Application:
    """Return an application that shows deployments at work, and takes no pictures; for the arguments see `create_app`.

    Raises:
        SpecError: the environment variable is not set.
        DeploymentError: there is no deployment, or two have the same name.
    """
    serving = Serving(deployments)
    access = Access(token=token_from(token, token_env), hosts=hosts)
    page = LivePage(serving, takes_requests=False)
    return _application(serving, Tally(), {HEALTH: health.routes(serving)}, access=access, page=page)


def _application(
    serving: Serving,
    tally: Tally,
    families: Mapping[str, Iterable[web.RouteDef]],
    *,
    access: Access,
    page: LivePage | None,
    tracing: Tracing | None = None,
) -> web.Application:
    protocols: dict[object, str] = {}
    of_page: dict[str, Iterable[web.RouteDef]] = {}
    if page is not None:
        of_page = {
            live_routes.PROTOCOL: live_routes.routes(page),
            live_routes.PARTS_PROTOCOL: live_routes.part_routes(page),
            live_routes.OPEN_PROTOCOL: live_routes.file_routes(),
        }
    gate = Gate(
        serving,
        access=access,
        tally=tally,
        protocols=protocols,
        open_protocols=[HEALTH, live_routes.OPEN_PROTOCOL],
        quiet_protocols=[live_routes.PARTS_PROTOCOL],
        is_signed_in=None if page is None else live_routes.signed_in(page),
        tracing=tracing,
    )
    # Bodies are read by our own reader, which has limits of its own.
    app = web.Application(middlewares=[gate.middleware])
    app[SERVING], app[TALLY] = serving, tally
    for protocol, routes in {**families, **of_page}.items():
        for definition in routes:
            definition.kwargs.setdefault("expect_handler", expectation.leave_to_the_gate)
            for route in definition.register(app.router):
                protocols[route.resource] = protocol
    app.cleanup_ctx.append(_hold(serving))
    if page is not None:
        app.cleanup_ctx.append(page.hold)
    app.on_shutdown.append(_drain)
    return app


def _hold(serving: Serving) -> Callable[[web.Application], AsyncIterator[None]]:
    async def hold(_: web.Application) -> AsyncIterator[None]:
        await serving.open()
        yield
        await serving.aclose()

    return hold


async def _drain(app: web.Application) -> None:  # noqa: ASYNC124  # a signal of aiohttp's
    app[SERVING].drain()
