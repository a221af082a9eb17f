"""Who may ask: pure decisions on a request's token, address, Host and Origin."""

import hmac
import os
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohooks.errors import SpecError
from aiohooks.server.refusal import Refusal

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts that mean this machine; no web site can have a browser use them for its own."""


class Access:
    """Decides on requests. Its token is in no repr.

    Args:
        token: that clients have to send; None where only this machine may ask.
        hosts: names that the server goes by, without a port; by default any if there is a token, else `LOOPBACK_HOSTS`. A web
            site that lets its own name point here (DNS rebinding) is refused by it.
    """

    def __init__(self, *, token: str | None = None, hosts: Collection[str] | None = None) -> None:
        self._token = None if token is None else token.encode()
        if hosts is None:
            hosts = () if token is not None else LOOPBACK_HOSTS
        self._hosts = frozenset(host.lower() for host in hosts)

    def __repr__(self) -> str:
        return f"Access(token={'set' if self._token is not None else None}, hosts={sorted(self._hosts)})"

    def check(
        self,
        *,
        local: object,
        host: str,
        origin: str | None,
        authorization: str | None,
        api_key: str | None,
        is_signed_in: bool = False,
    ) -> None:
        """Let a request pass or raise.

        Args:
            local: the address at which it came in, as `socket.getsockname` returns it.
            host: its header Host.
            origin: its header Origin, which browsers send for web sites.
            authorization: its header Authorization.
            api_key: its header X-API-Key.
            is_signed_in: whether it comes from a browser that has sent the token before.

        Raises:
            Refusal: 401, the token is missing or wrong; 403, without a token only this machine may ask; 421, it is for another host.
        """
        if self._hosts and _name_of(host) not in self._hosts:
            raise Refusal(421, "this server does not go by that name; whoever runs it can add it to its hosts")
        if origin is not None and self._hosts and _name_of(netloc_of(origin)) not in self._hosts:
            raise Refusal(403, "web sites of other hosts may not ask this server")
        if self._token is None:
            if not is_loopback(local):
                raise Refusal(403, "without a token this server answers requests from its own machine only")
            return
        if is_signed_in:
            return
        scheme, _, credential = (authorization or "").partition(" ")
        given = credential.strip() if scheme.lower() == "bearer" else api_key or ""
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), self._token):
            raise Refusal(401, "this server wants its token: Authorization: Bearer …")


def token_from(token: str | None, token_env: str | None) -> str | None:
    """Return the token that is given, or that an environment variable holds.

    Raises:
        SpecError: both are given, the variable is not set, or the token is one that no header can hold.
    """
    if token_env is not None:
        if token is not None:
            raise SpecError("token and token_env: give one of them")
        token = os.environ.get(token_env)
        if not token:
            raise SpecError(f"token_env: the environment variable {token_env} is not set; set it to the token")
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise SpecError("token: expected printable ASCII without spaces around it")
    return token


def is_loopback(address: object) -> bool:
    """Tell whether an address, as `socket.getsockname` returns it, can be reached from this machine only."""
    if isinstance(address, str | bytes):
        return True  # a socket in the file system
    if not isinstance(address, tuple):
        return False  # the connection is gone
    try:
        found = ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def netloc_of(origin: str) -> str:
    """Return the host with its port of a header Origin, in lower case; empty if there is none in it."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_of(host: str) -> str:
    """Return a host without its port."""
    host = host.lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
