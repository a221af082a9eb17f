"""Requests to a Geti server over a pool of connections: the one place that makes them."""

import asyncio
import io
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import aiohttp
import anyio

from aiohooks.backoff import REFUSED_STATUSES, RETRYABLE_STATUSES, Backoff, retry_after
from aiohooks.clients.geti.addresses import API
from aiohooks.clients.geti.answers import Problem, decode
from aiohooks.clients.geti.server import GetiServer
from aiohooks.errors import RemoteError, SessionError

T = TypeVar("T")

logger = logging.getLogger("aiohooks.clients")

MAX_JSON_BYTES = 32 * 1024 * 1024
"""Of an answer in JSON; a page of 100 pictures has some 100 KB."""

MAX_BREAKS = 10
"""How often a download whose answer breaks off is started again."""

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SHOWN_CHARACTERS = 500
_PROBLEM_BYTES = 64 * 1024
_CLOSE_SECONDS = 2.0
_HINTS = {
    401: "the server does not accept the token: it is wrong or has expired. It comes from {token}",
    403: "the token does not permit this. It comes from {token}",
    404: "there is no such thing on the server",
    413: "it is larger than the server takes",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send.

    Attributes:
        name: of the file.
        media_type: as in ``Content-Type``.
        content: its bytes.
    """

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: of HTTP.
        path: what follows ``/api/v1/``, encoded, with its query.
        json: body.
        upload: body instead: ``multipart/form-data`` with the file as ``file``.
        is_repeatable: it may reach the server twice. Otherwise it is repeated only after an answer, or a failure to connect,
            that says that the server has not acted on it.
        done_before: asked before a request is repeated whose answer was lost: the answer, if the server had acted on it.
    """

    method: str
    path: str
    json: bytes | None = None
    upload: Upload | None = None
    is_repeatable: bool = True
    done_before: Callable[[], Awaitable[Any]] | None = None

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again although the server may have acted on it."""
        return self.is_repeatable or self.done_before is not None


class _Failure(NamedTuple):
    """An attempt that failed."""

    error: SessionError
    may_pass: bool = False
    wait: float | None = None
    never_connected: bool = False
    is_unsure: bool = False
    broke_off: bool = False


class Connection:
    """Asks a Geti server; close it with `aclose`.

    Args:
        server: which one.
        max_connections: open at once, at most; further requests wait.
        connect_timeout: seconds to connect; before the server's first answer, with all retries.
        timeout: seconds for a call with all its retries; for a download, seconds in which nothing is received.
        backoff: pauses between retries.
    """

    def __init__(
        self, server: GetiServer, *, max_connections: int, connect_timeout: float, timeout: float, backoff: Backoff
    ) -> None:
        self._server = server
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._backoff = backoff
        self._was_reached = False
        # No cookies, so that requests stay alike; no decompression, so that a small answer stays small.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections, ssl=server.verify_certificate),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        if not server.verify_certificate:
            logger.warning("the certificate of %s is not verified: anybody on the way can read the token", server.host)

    @property
    def host(self) -> str:
        """Address of the server."""
        return self._server.host

    async def aclose(self) -> None:
        """Close all connections."""
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._session.close()

    async def ask(self, request: Request, kind: type[T]) -> T:
        """Make a request, repeated while that makes sense, and return its answer.

        Args:
            request: what to ask.
            kind: of answer: a struct, or ``bytes`` for the body as it is; no content is None.

        Raises:
            RemoteError: the server answered with an error.
            SessionError: it cannot be reached, does not answer in time, or answers as Geti does not.
        """

        async def read(answer: aiohttp.ClientResponse) -> T:
            body = await self._body(request, answer)
            if kind is bytes:
                return body  # type: ignore[return-value]  # T is bytes
            try:
                return decode(b"null" if answer.status == 204 else body, kind)  # type: ignore[no-any-return]  # of that kind
            except ValueError as error:
                problem = self._shown(str(error))
            raise SessionError(f"{self.name_of(request)}: malformed answer: {problem}")

        return await self._repeat(request, read, total=self._timeout)

    async def receive(self, request: Request, read: Callable[[aiohttp.ClientResponse], Awaitable[T]]) -> T:
        """Make a request and let ``read`` take in its answer, which may be large; after a failure, from its start again.

        It may take any time, as long as something is received. An answer that breaks off does not count as silence,
        but after `MAX_BREAKS` of them the request is not repeated.

        Raises:
            RemoteError: the server answered with an error.
            SessionError: it cannot be reached or fell silent; or what ``read`` raises.
        """
        return await self._repeat(request, read, total=None)

    def name_of(self, request: Request) -> str:
        """Return the name of a request in messages."""
        return f"{request.method} {self._server.host}{API}{request.path}"

    async def _repeat(
        self, request: Request, read: Callable[[aiohttp.ClientResponse], Awaitable[T]], *, total: float | None
    ) -> T:
        now = asyncio.get_running_loop().time
        began = heard = now()
        retries = breaks = 0
        failure: _Failure | None = None
        with anyio.move_on_after(total):
            while True:
                outcome = await self._attempt(request, read)
                if not isinstance(outcome, _Failure):
                    return outcome
                failure = outcome
                if total is None:
                    breaks += failure.broke_off
                    if failure.broke_off or not retries:
                        heard = now()
                gave_up = self._connect_timeout if failure.never_connected and not self._was_reached else self._timeout
                pause = max(failure.wait or 0.0, self._backoff.seconds(retries, random.random()))
                if not failure.may_pass or now() - heard + pause >= gave_up or breaks > MAX_BREAKS:
                    break
                logger.debug("%s; again in %.3g s", failure.error, pause)
                retries += 1
                await anyio.sleep(pause)
                if failure.is_unsure and request.done_before is not None:
                    answer = await request.done_before()
                    if answer is not None:
                        return answer  # type: ignore[no-any-return]  # it is the answer to this request
        if failure is None:
            raise SessionError(f"{self.name_of(request)}: no answer within {self._timeout:g} s", may_pass=True)
        raise _after(failure, retries, now() - began)

    async def _attempt(
        self, request: Request, read: Callable[[aiohttp.ClientResponse], Awaitable[T]]
    ) -> "T | _Failure":
        what = self.name_of(request)
        is_answered = False
        # Errors are made outside of `except`: those of aiohttp, which would become their context, hold the token.
        try:
            async with self._session.request(
                request.method,
                f"{self._server.host}{API}{request.path}",
                data=_body_of(request),
                headers=self._headers(request),
                proxy=self._server.proxy,
                allow_redirects=False,
            ) as answer:
                self._was_reached = True
                if not 200 <= answer.status < 300:
                    return await self._refusal(request, answer)
                if answer.content_type != "text/html":
                    is_answered = True
                    return await read(answer)
                # Of whoever asks to log in first.
                return _Failure(SessionError(f"{what}: the answer is a web page; is {self.host} a Geti server?"))
        except aiohttp.ClientConnectorCertificateError as error:
            problem = f"its certificate cannot be verified: {error.certificate_error}"
            return _Failure(
                SessionError(
                    f"{what}: {problem}. Name the authority that signed it in the environment variable SSL_CERT_FILE; "
                    "to do without any check, which is unsafe, verify_certificate=False"
                )
            )
        except aiohttp.ClientSSLError as error:
            return _Failure(SessionError(f"{what}: no encrypted connection: {self._shown(str(error))}"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            hint = "is the host right, and does it take a proxy (GETI_HTTPS_PROXY) to get there?"
            return _Failure(
                SessionError(f"{what}: the server cannot be reached: {self._shown(str(error))}; {hint}", may_pass=True),
                may_pass=True,
                never_connected=True,
            )
        except aiohttp.ClientHttpProxyError as error:
            return _Failure(SessionError(f"{what}: the proxy answered {error.status}"))
        except aiohttp.ClientResponseError as error:
            return _Failure(
                SessionError(f"{what}: malformed answer: {self._shown(error.message)}; is it a Geti server?")
            )
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            return _Failure(SessionError(f"{what}: the address of the server or of the proxy is not valid"))
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError too
            text = self._shown(str(error)) or type(error).__name__
            return _Failure(
                SessionError(f"{what}: the connection failed: {text}", may_pass=True),
                may_pass=request.may_repeat,
                is_unsure=True,
                broke_off=is_answered and not isinstance(error, TimeoutError),
            )

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"accept-encoding": "identity", "x-api-key": self._server.token.reveal()}
        if request.method in _CHANGES:
            headers["x-geti-csrf-protection"] = "1"
        if request.json is not None:
            headers["content-type"] = "application/json"
        return headers

    async def _body(self, request: Request, answer: aiohttp.ClientResponse) -> bytes:
        body = await start_of(answer, MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise SessionError(f"{self.name_of(request)}: the answer is longer than {MAX_JSON_BYTES} bytes")
        return body

    async def _refusal(self, request: Request, answer: aiohttp.ClientResponse) -> _Failure:
        status = answer.status
        told = problem_in(await start_of(answer, _PROBLEM_BYTES), answer.content_type)
        if 300 <= status < 400:
            told = "a redirect, which is not followed, so that the token goes nowhere else; is the host the right one?"
        hint = _HINTS.get(status, "").format(token=self._server.token.source)
        text = f"{self.name_of(request)}: " + ": ".join(
            filter(None, [f"the server answered {status}", self._shown(told), hint])
        )
        wait = retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
        return _Failure(
            RemoteError(text, status=status, retry_after=wait),
            may_pass=status in (RETRYABLE_STATUSES if request.may_repeat else REFUSED_STATUSES),
            is_unsure=status not in REFUSED_STATUSES,
            wait=wait,
        )

    def _shown(self, text: str) -> str:
        """Return a text of others in one line, and without the token."""
        line = " ".join(self._server.token.hide(text).split())
        return "".join(letter if letter.isprintable() else "?" for letter in line)[:_SHOWN_CHARACTERS]


async def start_of(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the start of a body; a connection with more to say is closed."""
    start = bytearray()
    async for chunk in answer.content.iter_any():
        start += chunk
        if len(start) >= most:
            break
    return bytes(start[:most])


def problem_in(body: bytes, content_type: str) -> str:
    """Return what the body of an error says; nothing of a web page."""
    text = body.decode(errors="replace")
    if content_type == "application/json":
        try:
            problem: Problem = decode(body, Problem)
            text = problem.message or text
        except ValueError:
            pass
    elif content_type == "text/html":
        text = ""
    return text


def _body_of(request: Request) -> io.BytesIO | aiohttp.MultipartWriter | None:
    # Streams, because aiohttp would send many bytes in one go, and warns of it.
    if request.upload is None:
        return None if request.json is None else io.BytesIO(request.json)
    form = aiohttp.MultipartWriter("form-data")
    part = form.append(io.BytesIO(request.upload.content), {"Content-Type": request.upload.media_type})
    part.set_content_disposition("form-data", quote_fields=False, name="file", filename=request.upload.name)
    return form


def _after(failure: _Failure, retries: int, seconds: float) -> SessionError:
    if not retries:
        return failure.error
    text = f"{failure.error} (after {retries} retries in {seconds:.3g} s)"
    if isinstance(failure.error, RemoteError):
        return RemoteError(text, status=failure.error.status, retry_after=failure.error.retry_after)
    return SessionError(text, may_pass=failure.error.may_pass)
