"""Whether a request that changes something is the page's own."""

from collections.abc import Mapping

from aiohooks.server.access import netloc_of
from aiohooks.server.refusal import Refusal


def check_same_origin(headers: Mapping[str, str], host: str) -> None:
    """Let a request of this server's own page pass, and of programs, which send no such headers.

    Args:
        headers: of the request.
        host: that it was sent to.

    Raises:
        Refusal: 403, a page of another site sent it.
    """
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if (origin is not None and netloc_of(origin) != host.lower()) or site not in (
        None, "same-origin", "none",
    ):  # fmt: skip
        raise Refusal(403, "web sites of other hosts may not ask this")


def check_command(headers: Mapping[str, str], host: str, content_type: str) -> None:
    """Let a command pass. No form of another site can send JSON, and its scripts are not allowed to.

    Raises:
        Refusal: 403, a page of another site sent it; 415, its body is not said to be JSON.
    """
    check_same_origin(headers, host)
    if content_type != "application/json":
        raise Refusal(415, "send JSON, with Content-Type: application/json")
