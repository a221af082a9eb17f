"""A client of servers that speak the Open Inference Protocol (KServe v2): OpenVINO Model Server, KServe, Triton, or ours."""

import io
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from aiohooks.backoff import RETRYABLE_STATUSES, Backoff, retry_after
from aiohooks.errors import RemoteError, SessionError, SpecError
from aiohooks.open_inference import (
    JSON_LENGTH_HEADER,
    InferAnswer,
    InferRequest,
    ModelMetadata,
    checked_url,
    read_answer,
    write_request,
)

MAX_ANSWER_BYTES = 512 * 1024 * 1024
LARGE_BYTES = 512 * 1024
"""Messages with more bytes than this are written and read in a worker thread."""

_SHOWN_CHARACTERS = 500
_CLOSE_SECONDS = 2.0


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class OpenInferenceClient:
    """One server, over a pool of connections. Use it in ``async with``, or close it with `aclose`.

    Transient failures are retried until ``timeout``: a server that cannot be reached, is overloaded (its Retry-After is honoured) or
    restarts. An inference changes nothing, so it may be requested twice.

    Args:
        url: of the server, such as ``http://cluster:8000``.
        token: sent as ``Authorization: Bearer …``; in no repr and no message.
        timeout: seconds for one call with all its retries.
        max_connections: open at once.
        backoff: pauses between retries.

    Raises:
        SpecError: it is not an http or https URL, or holds a password.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        max_connections: int = 64,
        backoff: Backoff | None = None,
    ) -> None:
        self._base = checked_url(url)
        self.host = "/".join(self._base.split("/")[:3])
        self._timeout = timeout
        self._backoff = backoff or Backoff(most=5.0)
        self._ids = count(1)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # No cookies, so that requests stay alike; no decompression, so that a small answer stays small.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={**headers, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    def __repr__(self) -> str:
        return f"OpenInferenceClient({self.host!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._session.close()

    async def metadata(self, model: str) -> ModelMetadata:
        """Ask what a model takes and gives.

        Raises:
            RemoteError: the server refuses, for example because it has no such model.
            SessionError: it does not answer in time, or not in the protocol.
        """
        what = f"GET {self.host}: model {model}"
        answer = await self._ask("GET", f"/v2/models/{quote(model, safe='')}", what)
        try:
            return msgspec.json.decode(answer.body, type=ModelMetadata)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SessionError(f"{what}: the answer is not of the Open Inference Protocol: {error}") from error

    async def infer(self, model: str, request: InferRequest) -> InferAnswer:
        """Have a model infer; tensors are sent as raw bytes.

        Raises:
            RemoteError: the server refuses, or the model failed.
            SessionError: it does not answer in time, or not in the protocol.
        """
        what = f"POST {self.host}: model {model}"
        if not request.id:  # KServe's server needs one
            request = replace(request, id=str(next(self._ids)))
        size = sum(tensor.array.nbytes for tensor in request.inputs)
        body, length = await _at_once_or_in_thread(partial(write_request, request), size)
        headers = {"Content-Type": "application/octet-stream"}
        if length is not None:
            headers[JSON_LENGTH_HEADER] = str(length)
        answer = await self._ask("POST", f"/v2/models/{quote(model, safe='')}/infer", what, body, headers)
        told = answer.headers.get(JSON_LENGTH_HEADER)
        try:
            read = partial(read_answer, answer.body, None if told is None else int(told))
            found: InferAnswer = await _at_once_or_in_thread(read, len(answer.body))
        except (SpecError, ValueError) as error:
            raise SessionError(f"{what}: the answer is not of the Open Inference Protocol: {error}") from error
        return found

    async def _ask(
        self, method: str, path: str, what: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> _Answer:
        """Ask until there is a definite answer, or no time is left."""
        started = anyio.current_time()
        failure = SessionError(f"{what}: no answer within {self._timeout:g} s", may_pass=True)
        retries = 0
        with anyio.move_on_after(self._timeout):
            while True:
                wait: float | None = None
                try:
                    answer = await self._exchange(method, path, body, headers or {})
                except (aiohttp.InvalidURL, aiohttp.ClientSSLError) as error:
                    raise SessionError(f"{what}: no connection: {error}") from None
                except (aiohttp.ClientError, OSError) as error:
                    failure = SessionError(f"{what}: {str(error) or type(error).__name__}", may_pass=True)
                else:
                    if answer.status == 200:
                        return answer
                    wait = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
                    failure = RemoteError(
                        f"{what}: the server answered {answer.status}: {_problem(answer.body)}",
                        status=answer.status,
                        retry_after=wait,
                    )
                    if answer.status not in RETRYABLE_STATUSES:
                        raise failure
                await anyio.sleep(max(wait or 0.0, self._backoff.seconds(retries, random.random())))
                retries += 1
        seconds = anyio.current_time() - started
        text = f"{failure} (after {retries} retries in {seconds:.3g} s)" if retries else str(failure)
        if isinstance(failure, RemoteError):
            raise RemoteError(text, status=failure.status, retry_after=failure.retry_after)
        raise SessionError(text, may_pass=failure.may_pass)

    async def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> _Answer:
        # A stream, because aiohttp would send many bytes in one go, and warns of it; a new one for each attempt.
        data = None if body is None else io.BytesIO(body)
        async with self._session.request(
            method, self._base + path, data=data, headers=headers, allow_redirects=False
        ) as answer:
            chunks = bytearray()
            async for chunk in answer.content.iter_any():
                chunks += chunk
                if len(chunks) > MAX_ANSWER_BYTES:
                    raise aiohttp.ClientPayloadError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            return _Answer(answer.status, answer.headers, bytes(chunks))


async def _at_once_or_in_thread(work: "partial[Any]", size: int) -> Any:
    return work() if size <= LARGE_BYTES else await anyio.to_thread.run_sync(work)


def _problem(body: bytes) -> str:
    """Return what the body of an error says, in one line."""
    text = body[: 64 * 1024].decode(errors="replace")
    try:
        told = msgspec.json.decode(body)
        if isinstance(told, dict) and isinstance(told.get("error"), str):
            text = told["error"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return " ".join(text.split())[:_SHOWN_CHARACTERS]
