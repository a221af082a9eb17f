"""Answers in JSON."""

from typing import Any

import msgspec
from aiohttp import web

from aiohooks.server.refusal import Refusal

encode = msgspec.json.Encoder().encode


def json_answer(value: Any, *, status: int = 200) -> web.Response:
    """Return a value as an answer; NaN and infinities, which JSON has not, become null."""
    return web.Response(body=encode(value), status=status, content_type="application/json")


def error_answer(refusal: Refusal) -> web.Response:
    """Return the answer to a request that is refused: ``{"error": …}``."""
    answer = json_answer({"error": str(refusal)}, status=refusal.status)
    answer.headers.update(refusal.headers)
    return answer
