"""What happens to every request: it is checked, answered, counted and logged."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext

import anyio
from aiohttp import web
from aiohttp.typedefs import Middleware

from aiohooks.server import expectation
from aiohooks.server.access import Access
from aiohooks.server.access_log import log_request
from aiohooks.server.answers import error_answer
from aiohooks.server.exchange import Exchange, begin
from aiohooks.server.refusal import Refusal, refusal_of
from aiohooks.server.serving import Serving
from aiohooks.server.tally import Tally

logger = logging.getLogger("aiohooks.server")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Tracing = Callable[[web.Request, Exchange], AbstractContextManager[object]]
"""Has a span around what answers a request."""

OTHERS = "none"
"""The family of addresses that are not ours, or nobody's."""

TIMEOUT_HEADER = "X-Request-Timeout"
"""Seconds within which a client wants its answer."""


class Gate:
    """Every request passes through here once.

    Args:
        serving: what is served.
        access: who may ask.
        tally: where requests are counted.
        protocols: which family of addresses a resource belongs to.
        open_protocols: those that need no token, for probes.
        quiet_protocols: those whose requests are logged only where they fail.
        is_signed_in: tells requests of browsers that have sent the token before.
        tracing: starts a span around each request.
    """

    def __init__(
        self,
        serving: Serving,
        *,
        access: Access,
        tally: Tally,
        protocols: Mapping[object, str],
        open_protocols: Collection[str] = (),
        quiet_protocols: Collection[str] = (),
        is_signed_in: Callable[[web.Request, Exchange], bool] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._serving = serving
        self._access = access
        self._tally = tally
        self._protocols = protocols
        self._open_protocols = frozenset(open_protocols)
        self._quiet_protocols = frozenset(quiet_protocols)
        self._is_signed_in = is_signed_in
        self._tracing = tracing

    @property
    def middleware(self) -> Middleware:
        """What an aiohttp application takes."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.answer(request, handler)

        return gate

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request; what goes wrong becomes an answer too."""
        now = anyio.current_time()
        exchange = Exchange(
            protocol=self._protocols.get(request.match_info.route.resource, OTHERS),
            started=now,
            deadline=now + self._serving.limits.request_seconds,
            client=request.remote or "",
        )
        begin(request, exchange)
        self._tally.under_way += 1
        error: Exception | None = None
        with self._tracing(request, exchange) if self._tracing is not None else nullcontext():
            try:
                try:
                    self._check(request, exchange)
                    if exchange.protocol != OTHERS:
                        await expectation.meet(request)
                    exchange.deadline = now + self._patience(request)
                    answer = await handler(request)
                except Exception as raised:
                    if isinstance(raised, web.HTTPException) and raised.status < 400:  # a redirect, for instance
                        exchange.status = raised.status
                        raise
                    error = raised
                    if isinstance(raised, OSError) and _has_left(request):
                        raise
                    answer = error_answer(refusal_of(raised))
                exchange.status = answer.status
                if self._serving.draining.is_set() and not answer.prepared:
                    answer.force_close()
                return answer
            finally:
                self._serving.bodies.let_go(request)
                self._tally.under_way -= 1
                self._tally.ended(exchange.protocol, exchange.deployment, exchange.status)
                if exchange.status >= 500 and error is not None and not isinstance(error, Refusal):
                    logger.error("%s %s failed", request.method, request.rel_url.raw_path, exc_info=error)
                if error is not None or exchange.protocol not in self._quiet_protocols:
                    log_request(request, exchange, seconds=anyio.current_time() - now, error=error)

    def _check(self, request: web.Request, exchange: Exchange) -> None:
        if exchange.protocol in self._open_protocols:
            return
        headers, transport = request.headers, request.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        self._access.check(
            local=transport.get_extra_info("sockname"),
            host=request.host,
            origin=headers.get("Origin"),
            authorization=headers.get("Authorization"),
            api_key=headers.get("X-API-Key"),
            is_signed_in=self._is_signed_in is not None and self._is_signed_in(request, exchange),
        )

    def _patience(self, request: web.Request) -> float:
        """Return the seconds that a request has."""
        longest = self._serving.limits.request_seconds
        text = request.headers.get(TIMEOUT_HEADER)
        if text is None:
            return longest
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1
        if not seconds > 0:
            raise Refusal(400, f"{TIMEOUT_HEADER}: expected a number of seconds above 0")
        return min(seconds, longest)


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
