"""One HTTP request for each event."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.hooks import background
from aiohooks.hooks.actions.logger import LogLevel, log
from aiohooks.hooks.actions.picture import Picture, picture_of
from aiohooks.hooks.actions.secrets import check_header, check_url
from aiohooks.hooks.event import HookEvent
from aiohooks.prediction import Prediction

if TYPE_CHECKING:
    from aiohooks.hooks.actions.http_exchange import HttpExchange

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_JPEG_QUALITY = 90
_LIGHT = 10
"""Labels of a prediction that are written as JSON on the event loop."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes:
        status: HTTP status, 200–299.
        body: start of the text, at most 64 KiB.
    """

    status: int
    body: str


class HttpRequestAction(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Sends one request for each event, and fails unless the answer is a success (200–299).

    POST, PUT and PATCH carry JSON with ``hook``, ``name``, ``index`` and ``timestamp`` of the frame, ``score``,
    ``scores`` and ``triggered_at``; with prediction data, Geti's JSON form of the prediction stands beside them, so
    that ``Prediction.from_geti`` reads the body. GET and DELETE carry it only if prediction data or a picture are
    wanted.

    A hook keeps connections open between events. Redirects are not followed. Failures are not retried, unless the hook has a
    ``delivery``; each request then carries the event's key as ``Idempotency-Key``, by which a server knows what it has already.

    Secrets are named, not written down: ``${NAME}`` in the URL or in the value of a header stands for an environment
    variable, looked up for each request.

    Attributes:
        url: http or https.
        method: GET, POST, PUT, PATCH or DELETE.
        headers: sent with the request.
        include_prediction_data: also send the prediction.
        include_image: ``multipart`` sends ``multipart/form-data`` of the JSON as ``event`` and the picture as the file
            ``image``: the frame's encoded bytes, else a JPEG.
        timeout: seconds for the whole exchange.
        log_level: level of the line that says what was sent.

    Raises:
        SpecError: a value is out of its range, or the URL or a header holds a secret itself.
    """

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Mapping[str, str] | None = None
    include_prediction_data: bool = False
    include_image: Literal["none", "multipart"] = "none"
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 10.0
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        check_fields(self)
        _check_address(self.url)
        check_url("HttpRequestAction.url", self.url)
        for name, value in (self.headers or {}).items():
            where = f"HttpRequestAction.headers[{name!r}]"
            if not _HEADER_NAME.fullmatch(name):
                raise SpecError(f"{where}: this is not the name of a header")
            if not value.isprintable():
                raise SpecError(f"{where} must not hold line breaks or other control characters")
            check_header(where, name, value)

    async def __call__(self, event: HookEvent) -> HttpAnswer:
        """Send one request over a connection of its own; a running hook shares connections between events.

        Raises:
            ActionError: there is no answer within the time-out, it is not a success, or an environment variable is
                missing.
        """
        async with self.lifespan() as send:
            return await send(event)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Callable[[HookEvent], Awaitable[HttpAnswer]]]:
        """Hold a pool of connections; entering it gives the function that sends an event over them."""
        from aiohooks.hooks.actions.http_exchange import HttpExchange  # loads aiohttp

        async with (
            HttpExchange(self.method, self.url, self.headers or {}, self.timeout) as exchange,
            background.threads() as threads,
        ):
            yield partial(self._send, exchange, threads.heavy)

    async def _send(self, exchange: "HttpExchange", run: background.Run, event: HookEvent) -> HttpAnswer:
        if self.include_image == "multipart":
            text, picture = await run(self._json_and_picture, event)
            status, body = await exchange.send_form(text, picture, event.frame.name, event.key)
        elif self.include_prediction_data and not _is_light(event.prediction):
            status, body = await exchange.send_json(await run(self._json, event), event.key)
        elif self.include_prediction_data or self.method not in ("GET", "DELETE"):
            status, body = await exchange.send_json(self._json(event), event.key)
        else:
            status, body = await exchange.send_json(None, event.key)
        log(self.log_level, "hook %s: %s %s: %d", event.hook, self.method, self.url, status)
        return HttpAnswer(status, body)

    def _json_and_picture(self, event: HookEvent) -> tuple[bytes, Picture]:
        return self._json(event), picture_of(event.frame, "jpeg", _JPEG_QUALITY)

    def _json(self, event: HookEvent) -> bytes:
        frame = event.frame
        about = {
            "hook": event.hook,
            "name": frame.name,
            "index": frame.index,
            "timestamp": frame.timestamp,
            "score": event.score,
            "scores": dict(event.scores),
            "triggered_at": event.triggered_at,
        }
        return msgspec.json.encode(event.prediction.to_geti() | about if self.include_prediction_data else about)


def _is_light(prediction: Prediction) -> bool:
    """Tell whether its JSON is made in a fraction of a millisecond, less than a worker thread would take to get going."""
    return len(prediction.scores) <= _LIGHT and prediction.polygons is None


def _check_address(url: str) -> None:
    if url.startswith("${"):
        return  # the environment says where it goes
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SpecError(f"HttpRequestAction.url: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError("HttpRequestAction.url must be http://host/… or https://host/…")
