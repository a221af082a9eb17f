"""The addresses of the live page."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from socket import AF_INET, AF_INET6, SO_SNDBUF, SOL_SOCKET
from typing import Any

import anyio
import msgspec
from aiohttp import WSMsgType, web

from aiohooks.server.answers import json_answer
from aiohooks.server.exchange import Exchange, exchange_of
from aiohooks.server.live.controls import MOST_BYTES, command_from, obey
from aiohooks.server.live.drift_charts import DriftPictures
from aiohooks.server.live.live_page import LivePage
from aiohooks.server.live.same_origin import check_command, check_same_origin
from aiohooks.server.live.shown import Shown
from aiohooks.server.refusal import Refusal

logger = logging.getLogger("aiohooks.server")

PROTOCOL = "live"
"""Under which requests for what the page shows are counted; they need the token, or a browser that has sent it."""

PARTS_PROTOCOL = "live_parts"
"""Under which requests that the page makes by itself, all the time, are counted; they need the same."""

OPEN_PROTOCOL = "live_files"
"""Under which requests for the page itself are counted, which tells nothing."""

STALL_SECONDS = 10.0
"""How long a browser may take for an event or a picture."""

HEARTBEAT_SECONDS = STALL_SECONDS
"""Between two signs of life that a browser which has sent nothing else is asked for."""

SOCKET_BYTES = 32 * 1024
"""What the system keeps for a browser that does not read."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""With the page: it runs no script and asks no host but this one, and nobody has it in a frame."""

_FILES = {
    "/": ("live.html", "text/html"),
    "/live/live.css": ("live.css", "text/css"),
    "/live/live.js": ("live.js", "text/javascript"),
    "/live/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PICTURE_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def file_routes() -> Iterable[web.RouteDef]:
    """Return the addresses of the page, its script and its style."""
    return [web.get(path, _file(*about)) for path, about in _FILES.items()]


def routes(page: LivePage) -> Iterable[web.RouteDef]:
    """Return the addresses of what somebody asks for: to be let in, to watch, to change something."""
    live = _Live(page)
    return [
        web.get("/live/session", live.session),
        web.post("/live/session", live.sign_in),
        web.get("/live/events", live.events),
        web.get("/live/pictures", live.pictures),
        web.post("/live/do", live.do),
    ]


def part_routes(page: LivePage) -> Iterable[web.RouteDef]:
    """Return the addresses of what the page asks for by itself while somebody watches."""
    live = _Live(page)
    return [
        web.get("/live/troubles", live.troubles),
        web.get("/live/drift/{name}", live.drift),
        web.get("/live/drift/{name}/{monitor}/{number}", live.chart),
        web.get("/live/collected/{name}/{number}", live.collected),
    ]


def signed_in(page: LivePage) -> Callable[[web.Request, Exchange], bool]:
    """Return what tells requests of browsers that have sent the token."""
    return lambda request, exchange: exchange.protocol in (PROTOCOL, PARTS_PROTOCOL) and request in page.signed_in


def _file(name: str, content_type: str) -> Any:
    async def answer(_: web.Request) -> web.Response:  # noqa: ASYNC124  # aiohttp awaits it
        return web.Response(body=_content(name), content_type=content_type, charset="utf-8", headers=HEADERS)

    return answer


@cache
def _content(name: str) -> bytes:
    return resources.files("aiohooks.server.live").joinpath(name).read_bytes()


class _Live:
    def __init__(self, page: LivePage) -> None:
        self._page = page

    async def session(self, _: web.Request) -> web.Response:
        """Say that the browser is let in; else the gate has said that it is not.

        Raises:
            Refusal: 503, too many watch.
        """
        self._page.audience.check()
        return json_answer({"signed_in": True})

    async def sign_in(self, request: web.Request) -> web.Response:
        """Give a browser that has sent the token a cookie in its place."""
        check_same_origin(request.headers, request.host)
        answer = json_answer({"signed_in": True})
        self._page.signed_in.add(request, answer)
        return answer

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Send figures as they come (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
        check_same_origin(request.headers, request.host)
        page = self._page
        headers = {
            **HEADERS,
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
        answer = web.StreamResponse(headers=headers)
        with page.audience.seat():
            _keep_little(request)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end_when_draining, tasks.cancel_scope)
                await self._send_events(request, answer)
        return answer

    async def _send_events(self, request: web.Request, answer: web.StreamResponse) -> None:
        version = self._page.figures.version
        try:
            with anyio.fail_after(STALL_SECONDS):
                await answer.prepare(request)
            while True:
                figures = await self._page.figures.after(version)
                version = self._page.figures.version
                with anyio.fail_after(STALL_SECONDS):
                    await answer.write(b"event: figures\ndata: " + figures + b"\n\n")
        except TimeoutError:
            self._leave(request)

    async def pictures(self, request: web.Request) -> web.WebSocketResponse:
        """Send pictures as they come; each is answered by a message before the next one goes, so that a slow browser sees the latest."""
        check_same_origin(request.headers, request.host)
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, compress=False, max_msg_size=1024)
        with self._page.audience.seat():
            _keep_little(request)
            try:
                await socket.prepare(request)
            except ValueError as error:  # of a key that is not ASCII
                raise Refusal(400, "the headers of the WebSocket are malformed") from error
            taken = _Taken()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end_when_draining, tasks.cancel_scope)
                tasks.start_soon(self._send_pictures, request, socket, taken, tasks.cancel_scope)
                async for message in socket:
                    if message.type is not WSMsgType.TEXT:
                        break
                    taken.set()
                tasks.cancel_scope.cancel()
            if not socket.closed and request.transport is not None and not request.transport.is_closing():
                with anyio.move_on_after(1, shield=True):
                    await socket.close(code=1001)
        return socket

    async def _send_pictures(
        self, request: web.Request, socket: web.WebSocketResponse, taken: "_Taken", scope: anyio.CancelScope
    ) -> None:
        sent = dict.fromkeys(self._page.shown, 0)
        try:
            while True:
                drawn = self._page.drawn.version
                for name, shown in self._page.shown.items():
                    picture = shown.watch.picture
                    if picture.value is not None and picture.version > sent[name]:
                        sent[name] = picture.version
                        with anyio.fail_after(STALL_SECONDS):
                            taken.clear()
                            await socket.send_bytes(picture.value.message)
                            await taken.wait()
                await self._page.drawn.after(drawn)
        except TimeoutError:
            self._leave(request)
        except OSError:
            pass  # it has left
        scope.cancel()

    async def troubles(self, _: web.Request) -> web.Response:
        """Answer with the latest warnings and errors of the log."""
        return json_answer(self._page.troubles.latest)

    async def drift(self, request: web.Request) -> web.Response:
        """Answer with what the drift monitors of a deployment tell."""
        shown = self._find(request)
        return json_answer({name: _drift(told) for name, told in shown.drift.items()})

    async def chart(self, request: web.Request) -> web.Response:
        """Answer with a chart of a drift monitor."""
        told = self._find(request).drift.get(request.match_info["monitor"])
        number = _number(request)
        if not isinstance(told, DriftPictures) or not 0 <= number < len(told.charts):
            raise Refusal(404, "there is no such chart")
        return web.Response(body=told.charts[number][1], content_type="image/svg+xml", headers=_PICTURE_HEADERS)

    async def collected(self, request: web.Request) -> web.Response:
        """Answer with a picture that a hook has collected."""
        picture = self._find(request).collected.pictures.get(_number(request))
        if picture is None:
            raise Refusal(404, "this picture is not kept any more")
        headers = {**_PICTURE_HEADERS, "Cache-Control": "private, max-age=600"}
        return web.Response(body=picture, content_type="image/jpeg", headers=headers)

    async def do(self, request: web.Request) -> web.Response:
        """Do what a command says."""
        check_command(request.headers, request.host, request.content_type)
        if request.content_length is None or request.content_length > MOST_BYTES:
            raise Refusal(413, f"a command has at most {MOST_BYTES} bytes, and says how many")
        data = await self._page.serving.bodies.read(request)
        exchange = exchange_of(request)
        with anyio.CancelScope(deadline=exchange.deadline):
            done = await obey(command_from(data), self._page.shown, exchange.client)
            return json_answer({"done": done})
        raise Refusal(504, "it is not done yet, and was given up", retry_after=1)

    def _find(self, request: web.Request) -> Shown:
        name = request.match_info["name"]
        exchange_of(request).deployment = self._page.serving.find(name).name
        return self._page.shown[name]

    async def _end_when_draining(self, scope: anyio.CancelScope) -> None:
        await self._page.serving.draining.wait()
        scope.cancel()

    def _leave(self, request: web.Request) -> None:
        self._page.audience.stalled += 1
        logger.debug("a browser at %s takes nothing any more, and is left", request.remote)
        if request.transport is not None:
            request.transport.abort()


class _Taken:
    """Whether the browser has answered the last picture."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event = anyio.Event()

    async def wait(self) -> None:
        await self._event.wait()


def _keep_little(request: web.Request) -> None:
    """Have what a browser does not read pile up here, where it is noticed, and not in the system."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (AF_INET, AF_INET6):
        connection.setsockopt(SOL_SOCKET, SO_SNDBUF, SOCKET_BYTES)


def _number(request: web.Request) -> int:
    text = request.match_info["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(404, "there is no such picture")
    return int(text)


def _drift(told: DriftPictures | str) -> dict[str, Any]:
    if isinstance(told, str):
        return {"problem": told}
    return {
        "charts": [title for title, _ in told.charts],
        "windows": told.windows,
        "events": told.events,
        "length": told.length,
        "alerts": [msgspec.to_builtins(alert) for alert in told.alerts],
    }
