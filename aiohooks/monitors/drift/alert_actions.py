"""What can be done with an alert: a line in the log, a request to a webhook, or anything that a coroutine does."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import msgspec

from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.hooks.actions import HttpRequestAction
from aiohooks.monitors.drift.alert import DriftAlert

if TYPE_CHECKING:
    from aiohooks.hooks.actions.http_exchange import HttpExchange

logger = logging.getLogger("aiohooks.monitors")


class AlertAction(Protocol):
    """Any coroutine function of an alert.

    One that holds resources also has ``lifespan()``: an async context manager that gives the function to call instead.
    """

    def __call__(self, alert: DriftAlert, /) -> Awaitable[object]:
        """Act on the alert."""
        ...


class LogAlert(msgspec.Struct, frozen=True):
    """Writes one line to the logger ``aiohooks.monitors``: critical as an error, what is over as information."""

    async def __call__(self, alert: DriftAlert) -> None:
        """Write the line."""
        level = {"critical": logging.ERROR, "warning": logging.WARNING, "recovered": logging.INFO}[alert.kind]
        logger.log(level, "%s", alert.message)


class AlertWebhook(msgspec.Struct, frozen=True):
    """Sends an alert as JSON, the fields of `DriftAlert` with its ``message``, and fails unless the answer is a success (200–299).

    Redirects are not followed. Secrets are named, not written down: ``${NAME}`` in the URL or in the value of a header stands for an
    environment variable, as in `HttpRequestAction`.

    Attributes:
        url: http or https.
        method: POST, PUT or PATCH.
        headers: sent with the request.
        timeout: seconds for the whole exchange.

    Raises:
        SpecError: a value is out of its range, or the URL or a header holds a secret itself.
    """

    url: str
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: Mapping[str, str] | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 10.0

    def __post_init__(self) -> None:
        check_fields(self)
        try:
            HttpRequestAction(url=self.url, method=self.method, headers=self.headers, timeout=self.timeout)
        except SpecError as error:
            raise SpecError(str(error).replace("HttpRequestAction", "AlertWebhook")) from None

    async def __call__(self, alert: DriftAlert) -> int:
        """Send one request over a connection of its own; a monitor shares connections between alerts.

        Raises:
            ActionError: there is no answer within the time-out, it is not a success, or an environment variable is missing.
        """
        async with self.lifespan() as send:
            return await send(alert)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Callable[[DriftAlert], Awaitable[int]]]:
        """Hold a pool of connections; entering it gives the function that sends an alert over them."""
        from aiohooks.hooks.actions.http_exchange import HttpExchange  # loads aiohttp

        async with HttpExchange(self.method, self.url, self.headers or {}, self.timeout) as exchange:
            yield partial(_send, exchange)


async def _send(exchange: "HttpExchange", alert: DriftAlert) -> int:
    text = msgspec.json.encode(msgspec.to_builtins(alert) | {"message": alert.message})
    status, _ = await exchange.send_json(text)
    return status
