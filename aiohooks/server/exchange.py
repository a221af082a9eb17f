"""What is known about one request while it is answered."""

from dataclasses import dataclass

from aiohttp import web

from aiohooks.server.refusal import CLIENT_LEFT


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and what became of it.

    Attributes:
        protocol: the family of addresses that it came by.
        started: when it came, in the clock of `anyio.current_time`.
        deadline: when it must be answered, in the same clock.
        client: the address that it came from.
        deployment: the one that it asks for, once that is known.
        held_bytes: of its body, in memory.
        status: of its answer, once there is one.
    """

    protocol: str
    started: float
    deadline: float
    client: str
    deployment: str = ""
    held_bytes: int = 0
    status: int = CLIENT_LEFT


_KEY = web.RequestKey("aiohooks.exchange", Exchange)


def begin(request: web.Request, exchange: Exchange) -> None:
    """Keep it with its request."""
    request[_KEY] = exchange


def exchange_of(request: web.Request) -> Exchange:
    """Return what is known about a request."""
    return request[_KEY]
