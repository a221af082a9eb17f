"""Spans of OpenTelemetry around requests, for ``create_app(tracing=spans())``.

Names and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from aiohooks.errors import SpecError
from aiohooks.server.exchange import Exchange
from aiohooks.server.gate import Tracing


def spans(tracer: Any = None) -> Tracing:
    """Return what has a span around each request, a child of the one that the client tells of.

    Args:
        tracer: of OpenTelemetry; by default that of the global provider.

    Raises:
        SpecError: the package opentelemetry-api is not installed.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError as error:
        raise SpecError("spans need OpenTelemetry: pip install opentelemetry-api") from error
    source = trace.get_tracer("aiohooks") if tracer is None else tracer

    @contextmanager
    def span(request: web.Request, exchange: Exchange) -> Iterator[None]:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else ""
        with source.start_as_current_span(
            f"{request.method} {route}".strip(),
            context=propagate.extract(request.headers),
            kind=trace.SpanKind.SERVER,
            attributes={
                "http.request.method": request.method,
                "http.route": route,
                "url.path": request.path,
                "aiohooks.protocol": exchange.protocol,
            },
        ) as current:
            try:
                yield
            finally:
                current.set_attribute("aiohooks.deployment", exchange.deployment)
                current.set_attribute("http.response.status_code", exchange.status)
                if exchange.status >= 500:
                    current.set_status(trace.StatusCode.ERROR)

    return span
