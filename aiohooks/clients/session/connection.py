"""Requests to a served model, or the platform, over a pool of connections: the one place that makes them."""

import asyncio
import io
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import anyio
import anyio.to_thread

from aiohooks.backoff import REFUSED_STATUSES, RETRYABLE_STATUSES, Backoff, retry_after
from aiohooks.clients.geti.connection import start_of
from aiohooks.clients.session.address import Address
from aiohooks.clients.session.request import Call
from aiohooks.errors import FrameError, RemoteError, SessionError

logger = logging.getLogger("aiohooks.clients")

MAX_ANSWER_BYTES = 512 * 1024 * 1024
"""Of one answer; masks of many pictures may be large."""

SLOWEST_UPLOAD = 64 * 1024
"""Bytes in a second; an upload may take as long as it does at this rate, beside the time of its answer."""

_SHOWN_CHARACTERS = 500
_PROBLEM_BYTES = 64 * 1024
_CLOSE_SECONDS = 2.0


class _Failure(NamedTuple):
    """An attempt that failed."""

    error: SessionError
    may_pass: bool = False
    wait: float | None = None
    never_connected: bool = False


class Connection:
    """Asks a server; close it with `aclose`.

    Args:
        address: where it is.
        headers: to send with each request; they may be secret.
        max_connections: open at once, at most; further requests wait.
        connect_timeout: seconds in which a server must be reached, with all attempts.
        timeout: seconds for a call with all its attempts, beside the time that its upload takes.
        backoff: pauses between attempts.
    """

    def __init__(
        self,
        address: Address,
        *,
        headers: Mapping[str, str],
        max_connections: int,
        connect_timeout: float,
        timeout: float,
        backoff: Backoff,
    ) -> None:
        self._address = address
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._backoff = backoff
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept-encoding": "identity", **headers},
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._session.close()

    async def ask(self, call: Call) -> bytes:
        """Make a request, repeated while that makes sense, and return the body of its answer.

        Raises:
            RemoteError: the server answered with an error.
            SessionError: it cannot be reached, or does not answer in time; or this connection is closed.
            FrameError: a file to upload cannot be read.
        """
        now = asyncio.get_running_loop().time
        began = now()
        patience = self._timeout + call.more_seconds + sum(each.length for each in call.form) / SLOWEST_UPLOAD
        attempts = 0
        failure: _Failure | None = None
        with anyio.move_on_after(patience):
            while True:
                if self._session.closed:
                    raise SessionError(f"{self._name(call)}: the connection is closed")
                outcome = await self._attempt(call)
                if not isinstance(outcome, _Failure):
                    return outcome
                attempts += 1
                failure = outcome
                pause = max(failure.wait or 0.0, self._backoff.seconds(attempts - 1, random.random()))
                end = began + (self._connect_timeout if failure.never_connected else patience)
                if not failure.may_pass or now() + pause >= end:
                    break
                logger.debug("%s; again in %.3g s", failure.error, pause)
                await anyio.sleep(pause)
        if failure is None:
            raise SessionError(f"{self._name(call)}: no answer within {patience:.3g} s", may_pass=True)
        raise _after(failure.error, attempts, now() - began)

    def _name(self, call: Call) -> str:
        return f"{call.method} at {self._address.shown}"

    async def _attempt(self, call: Call) -> "bytes | _Failure":
        what = self._name(call)
        try:
            async with (
                self._body(call) as (data, headers),
                self._session.post(
                    self._address.at(call.method), data=data, headers=headers, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    return await self._refusal(call, answer)
                body = await start_of(answer, MAX_ANSWER_BYTES + 1)
                if len(body) > MAX_ANSWER_BYTES:
                    return _Failure(SessionError(f"{what}: the answer is longer than {MAX_ANSWER_BYTES} bytes"))
                return body
        except aiohttp.ClientConnectorCertificateError as error:
            return _Failure(SessionError(f"{what}: its certificate cannot be verified: {error.certificate_error}"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            text = (
                f"{what}: the server cannot be reached: {_line(str(error))}; is it running, and is the address right?"
            )
            return _Failure(SessionError(text, may_pass=True), may_pass=True, never_connected=True)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            return _Failure(SessionError(f"{what}: the address is not valid"))
        except aiohttp.ClientResponseError as error:  # as text it has the headers of the request, with the token
            failed = SessionError(f"{what}: no answer of HTTP: {_line(error.message)}", may_pass=True)
            return _Failure(failed, may_pass=call.is_repeatable)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError too
            text = _line(str(error)) or type(error).__name__
            failed = SessionError(f"{what}: the connection failed: {text}", may_pass=True)
            return _Failure(failed, may_pass=call.is_repeatable)

    async def _refusal(self, call: Call, answer: aiohttp.ClientResponse) -> _Failure:
        status = answer.status
        told = _problem_in(await start_of(answer, _PROBLEM_BYTES), answer.content_type)
        if 300 <= status < 400:
            told = "a redirect, which is not followed; is the address the right one?"
        if status in (401, 403) and not told:
            told = "the server does not accept the token"
        wait = retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
        text = ": ".join(filter(None, [f"{self._name(call)}: the server answered {status}", _line(told)]))
        return _Failure(
            RemoteError(text, status=status, retry_after=wait),
            may_pass=status in (RETRYABLE_STATUSES if call.is_repeatable else REFUSED_STATUSES),
            wait=wait,
        )

    @asynccontextmanager
    async def _body(self, call: Call) -> AsyncIterator[tuple[Any, Mapping[str, str]]]:
        """Give the body of a request, whole, whatever became of the one before."""
        if not call.form:
            yield json.dumps(call.json).encode(), {"content-type": "application/json"}
            return
        async with AsyncExitStack() as files:
            form = aiohttp.MultipartWriter("form-data")
            for part in call.form:
                content: Any
                if isinstance(part.content, Path):
                    content = await _opened(part.content)
                    files.push_async_callback(anyio.to_thread.run_sync, content.close)
                else:
                    content = io.BytesIO(part.content)  # aiohttp would send many bytes in one go, and warns of it
                payload = form.append(content, {"content-type": part.media_type})
                name = {} if part.file_name is None else {"filename": part.file_name}
                payload.set_content_disposition("form-data", quote_fields=False, name=part.name, **name)
            yield form, {}


async def _opened(path: Path) -> Any:
    try:
        return await anyio.to_thread.run_sync(lambda: path.open("rb"))
    except OSError as error:
        raise FrameError(f"{path}: cannot be read: {error.strerror}") from error


def _problem_in(body: bytes, content_type: str) -> str:
    """Return what the body of an error says; nothing of a web page."""
    if content_type == "text/html":
        return ""
    text = body.decode(errors="replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(data, dict):
        for key in ("error", "message", "detail"):
            if data.get(key):
                return str(data[key])
    return text


def _line(text: str) -> str:
    """Return a text of others in one line."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:_SHOWN_CHARACTERS]


def _after(error: SessionError, attempts: int, seconds: float) -> SessionError:
    if attempts < 2:
        return error
    text = f"{error} (after {attempts} attempts in {seconds:.3g} s)"
    if isinstance(error, RemoteError):
        return RemoteError(text, status=error.status, retry_after=error.retry_after)
    return SessionError(text, may_pass=error.may_pass)
