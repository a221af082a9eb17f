"""Which Geti server to talk to, and with which token."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from aiohooks.clients.geti import dotenv
from aiohooks.clients.token import Token
from aiohooks.errors import SpecError

PREFIX = "GETI_"
"""Before the names of environment variables; a .env file may leave it out."""

TOKEN = "personal access token of Geti"
"""What a server's token is called in messages."""

_TRUE = frozenset({"true", "t", "1", "yes", "y", "on"})
_FALSE = frozenset({"false", "f", "0", "no", "n", "off"})


@dataclass(frozen=True, slots=True)
class GetiServer:
    """Where a Geti server is and how to talk to it.

    Attributes:
        host: ``https://host`` with an optional port; plain http only on this machine.
        token: what opens it.
        verify_certificate: whether its certificate is checked.
        proxy: address of a proxy, which may hold a password.
    """

    host: str
    token: Token
    verify_certificate: bool = True
    proxy: str | None = field(default=None, repr=False)


def server_from_environment() -> GetiServer:
    """Return what ``GETI_HOST``, ``GETI_TOKEN``, ``GETI_VERIFY_CERT`` and ``GETI_HTTPS_PROXY`` say.

    Raises:
        SpecError: host or token is not set, or a value cannot be what it should be.
    """
    return _server_from(os.environ, "the environment", [PREFIX])


def server_from_file(path: str | os.PathLike[str]) -> GetiServer:
    """Return what a file says, with or without the prefix ``GETI_``. Nothing is taken from elsewhere. Blocks.

    Raises:
        SpecError: the file cannot be read, or as `server_from_environment`.
    """
    where = os.fspath(path)
    try:
        values = dotenv.parse(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise SpecError(f"{where}: this is not text in UTF-8") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{where}: {error}") from None
    return _server_from(values, where, [PREFIX, ""])


def normalised_host(text: str) -> str:
    """Return the address of a host as ``scheme://host[:port]``; https if it names no scheme.

    Raises:
        SpecError: it is no such address, or asks to send a token in plain text over a network.
    """
    address = text.strip()
    address = address if "://" in address else f"https://{address}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        # The error quotes what may be a part of a password.
        raise SpecError("Geti host: this is no address; expected https://host or https://host:port") from None
    if parts.scheme not in ("http", "https") or not host or not host.isprintable() or any(map(str.isspace, host)):
        raise SpecError("Geti host: this is no address of a server; expected https://host or https://host:port")
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path.strip("/"):
        raise SpecError(
            f"Geti host: expected only https://host, got more than {parts.scheme}://{host}; the token has its own place"
        )
    if parts.scheme == "http" and not _is_this_machine(host):
        raise SpecError(f"Geti host: use https://{host}; over http anybody on the way could read the token")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")


def to_bool(name: str, text: str) -> bool:
    """Read a flag: true, 1, yes … or false, 0, no …, in any case.

    Raises:
        SpecError: it is neither.
    """
    word = text.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise SpecError(f"{name}: expected true or false, got {text!r}")


def _server_from(values: Mapping[str, str], where: str, prefixes: list[str]) -> GetiServer:
    def find(name: str) -> tuple[str, str | None]:
        for prefix in prefixes:
            if values.get(prefix + name):
                return prefix + name, values[prefix + name]
        return prefixes[-1] + name, None

    host_name, host = find("HOST")
    token_name, token = find("TOKEN")
    verify_name, verify = find("VERIFY_CERT")
    _, proxy = find("HTTPS_PROXY")
    if host is None:
        raise SpecError(f"{where} does not set {host_name}: the address of the Geti server, such as https://geti.local")
    if token is None:
        raise SpecError(f"{where} does not set {token_name}: a {TOKEN} (user names and passwords do not work)")
    return GetiServer(
        host=normalised_host(host),
        token=Token(f"{token_name} of {where}", token, kind=TOKEN),
        verify_certificate=True if verify is None else to_bool(verify_name, verify),
        proxy=proxy,
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
