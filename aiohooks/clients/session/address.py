"""Where a served model is."""

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from aiohooks.errors import SpecError


class Address(NamedTuple):
    """An address without a slash at its end.

    Attributes:
        base: the whole address, which may hold the token of a session.
        shown: what messages show of it: scheme, host and port.
    """

    base: str
    shown: str

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether others could read what is sent there: over plain http, on a network."""
        parts = urlsplit(self.base)
        host = parts.hostname or ""
        try:
            is_here = ip_address(host).is_loopback
        except ValueError:
            is_here = host == "localhost"
        return parts.scheme == "http" and not is_here

    def at(self, method: str) -> str:
        """Return the address of a method."""
        return f"{self.base}/{method}"


def read_address(url: str) -> Address:
    """Return the address that a URL means; http where it names no scheme.

    Raises:
        SpecError: it is no address of a server.
    """
    text = url.strip()
    text = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SpecError("session: this is no address; expected http://host:port or https://host") from None
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise SpecError("session: this is no address of a server; expected http://host:port or https://host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SpecError(f"session: expected only scheme, host and path, got more than {parts.scheme}://{host}")
    name = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")
    return Address(shown + parts.path.rstrip("/"), shown)


def of_session_token(server: Address, token: str) -> Address:
    """Return the address at which the platform passes requests on to a session."""
    return Address(f"{server.base}/net/{quote(token, safe='')}", server.shown)
