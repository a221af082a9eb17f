"""Why a request is not answered with success: a status and a sentence for the client."""

import math
import re
from collections.abc import Mapping

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from aiohooks.errors import (
    AiohooksError,
    DeploymentError,
    FrameError,
    InferenceError,
    InferQueueClosed,
    SessionError,
    SpecError,
)

CLIENT_LEFT = 499
"""Status under which a request is counted whose client left before its answer, as nginx does."""


class Refusal(AiohooksError):  # noqa: N818  # an answer first, like web.HTTPException's
    """The server will not, or cannot, do what a request asks.

    Args:
        status: of HTTP.
        message: for the client: what was wrong and what to do. It holds nothing about the inside of the server.
        retry_after: seconds after which it may try again.
        headers: of the answer, beside those that follow from the status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self._headers = dict(headers or {})

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer tells beside its body."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers | self._headers


def refusal_of(error: Exception) -> Refusal:
    """Return what a client is told about an error; status 500 and no details where it is not the client's mistake."""
    match error:
        case Refusal():
            return error
        case web.HTTPException():
            told = {name: error.headers[name] for name in _HEADERS if name in error.headers}
            return Refusal(error.status, _REASONS.get(error.status) or error.reason, headers=told)
        case FrameError() | SpecError():
            return Refusal(400, _FOLDERS.sub("", str(error)))
        case InferQueueClosed():
            return Refusal(503, "the deployment is closing; ask again later", retry_after=5)
        case InferenceError():
            return Refusal(500, "the model failed on this input; the server's log says why")
        case DeploymentError():
            return Refusal(503, "the deployment is not open; ask again later", retry_after=5)
        case SessionError(may_pass=True):
            return Refusal(502, "the server behind this one does not answer; ask again later", retry_after=5)
        case SessionError():
            return Refusal(502, "the server behind this one cannot do this; the server's log says why")
        case web.RequestPayloadError() | HttpProcessingError():
            return Refusal(400, "the body of the request is malformed: it is cut off or not encoded as its headers say")
        case _:
            return Refusal(500, "the server failed; its log says why")


# Files that the server keeps for a while have names that are nobody else's business.
_FOLDERS = re.compile(r"(?<!\w)(?:[A-Za-z]:)?[/\\](?:[^/\\:'\"\s]+[/\\])+")
_HEADERS = ("Allow", "Location", "WWW-Authenticate")
_REASONS = {
    404: "there is nothing at this address",
    405: "this address does not take this method",
    413: "the body is larger than this server takes",
}
