"""Addresses of Geti's REST interface."""

from urllib.parse import quote, urlsplit

from aiohooks.errors import SessionError

API = "/api/v1/"
"""What every address of the interface begins with."""


def path_of(*steps: str) -> str:
    """Return a path of steps; what a step may hold cannot lead elsewhere.

    Raises:
        SessionError: a step is empty, ``.`` or ``..``.
    """
    for step in steps:
        if step in ("", ".", ".."):
            raise SessionError(f"{step!r} is not the id of anything")
    return "/".join(quote(step, safe=":") for step in steps)


def page_path(address: str, host: str) -> str:
    """Return path and query, without `API`, of an address that a server gave for its next page.

    Args:
        address: a whole URL, or a path that begins with `API`.
        host: ``scheme://host[:port]`` of the server, which alone is asked.

    Raises:
        ValueError: it leads to another host, or out of the interface.
    """
    parts, home = urlsplit(address), urlsplit(host)
    if (parts.scheme or parts.netloc) and (parts.scheme, parts.netloc) != (home.scheme, home.netloc):
        raise ValueError(f"it leads to {parts.scheme}://{parts.hostname} and not to {host}")
    steps = parts.path.split("/")
    if not parts.path.startswith(API) or any(step in (".", "..") or "%2e" in step.lower() for step in steps):
        raise ValueError(f"{parts.path!r} is not part of {API}")
    path = parts.path.removeprefix(API)
    return f"{path}?{parts.query}" if parts.query else path
