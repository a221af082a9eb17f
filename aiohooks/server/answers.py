"""Answers in JSON."""

from typing import Any

import msgspec
from aiohttp import web

from aiohooks.server.refusal import Refusal

SHOWN_CHARACTERS = 1000
"""What a client sent comes back in messages, but no more than this of it."""

encode = msgspec.json.Encoder().encode


def json_answer(value: Any, *, status: int = 200) -> web.Response:
    """Return a value as an answer; NaN and infinities, which JSON has not, become null."""
    return web.Response(body=encode(value), status=status, content_type="application/json")


def error_answer(refusal: Refusal) -> web.Response:
    """Return the answer to a request that is refused: ``{"error": …}``."""
    text = str(refusal)[:SHOWN_CHARACTERS].encode(errors="replace").decode()  # headers may hold what is no text
    answer = json_answer({"error": text}, status=refusal.status)
    answer.headers.update(refusal.headers)
    return answer
