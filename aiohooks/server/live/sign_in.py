"""Browsers that have sent the token: they hold a cookie in its place, because pictures and streams cannot send headers."""

import hashlib
import secrets

import anyio
from aiohttp import web

COOKIE = "aiohooks_live"
"""Begins the name of the cookie. The port ends it, because browsers send the cookies of a host to all its ports."""

MOST = 256
"""Browsers that are remembered; of more, the one that signed in first has to do it again."""

SECONDS = 12 * 3600.0


class SignedIn:
    """Remembers browsers. What it keeps of a cookie does not let anybody in."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def __contains__(self, request: web.Request) -> bool:
        value = request.cookies.get(_name(request))
        return value is not None and self._until.get(_digest(value), 0.0) > anyio.current_time()

    def add(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Give the browser a cookie with the answer: for this server alone, out of reach of scripts and of other sites."""
        value = secrets.token_urlsafe(32)
        while len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[_digest(value)] = anyio.current_time() + SECONDS
        answer.set_cookie(
            _name(request),
            value,
            max_age=int(SECONDS),
            httponly=True,
            samesite="Strict",
            secure=request.secure,
            path="/",
        )


def _name(request: web.Request) -> str:
    port = request.host.rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isascii() and port.isdigit() else COOKIE


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="replace")).digest()
