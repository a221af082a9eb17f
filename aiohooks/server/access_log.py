"""One log record a request, with what is known as fields of its own."""

import logging

from aiohttp import web

from aiohooks.server.exchange import Exchange

logger = logging.getLogger("aiohooks.server.access")


def log_request(request: web.Request, exchange: Exchange, *, seconds: float, error: Exception | None) -> None:
    """Log a request that ended.

    The record's attribute ``request`` is a dict with ``method``, ``path``, ``status``, ``seconds``, ``protocol``, ``deployment``,
    ``client`` and, if there is one, ``error``. It never holds the query or headers.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    fields: dict[str, object] = {
        "method": request.method,
        "path": request.rel_url.raw_path,
        "status": exchange.status,
        "seconds": round(seconds, 6),
        "protocol": exchange.protocol,
        "deployment": exchange.deployment,
        "client": exchange.client,
    }
    if error is not None:
        fields["error"] = str(error) or type(error).__name__
    logger.info(
        "%s %s %s %.1f ms",
        request.method,
        request.rel_url.raw_path,
        exchange.status,
        1000 * seconds,
        extra={"request": fields},
    )
