"""Requests and their answers, over aiohttp."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import aiohttp
import anyio

from aiohooks.backoff import retry_after
from aiohooks.errors import ActionError
from aiohooks.file_name import safe_name
from aiohooks.hooks.actions.picture import Picture
from aiohooks.hooks.actions.secrets import Secrets

MAX_ANSWER_BYTES = 64 * 1024
"""Bytes of an answer that are read; a connection that sends more is closed."""

_SHOWN_CHARACTERS = 500
_CLOSE_SECONDS = 2.0


class HttpExchange:
    """A pool of connections for requests that differ only in their body. Use it in ``async with``.

    Args:
        method: of HTTP.
        url: may name environment variables, ``${NAME}``.
        headers: their values may.
        timeout: seconds for one exchange.
    """

    def __init__(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> None:
        self._method = method
        self._url = url
        self._headers = headers
        self._timeout = timeout
        # No decompression, so that a small answer stays small; no cookies, so that requests stay alike.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._session.close()

    async def send_json(self, text: bytes | None, key: str = "") -> tuple[int, str]:
        """Send JSON, or no body, and return status and text of the answer.

        Args:
            text: the JSON.
            key: sent as ``Idempotency-Key``, unless it is empty.

        Raises:
            ActionError: there is no answer in time, it is not a success, or an environment variable is missing.
        """
        if text is None:
            return await self._send(None, {}, key)
        # A stream, because aiohttp would send many bytes in one go, and warns of it.
        return await self._send(io.BytesIO(text), {"content-type": "application/json"}, key)

    async def send_form(self, text: bytes, picture: Picture, name: str, key: str = "") -> tuple[int, str]:
        """Send ``multipart/form-data`` of JSON and a picture file, and return status and text of the answer.

        Args:
            text: the JSON.
            picture: the file.
            name: of the file, without its suffix.
            key: sent as ``Idempotency-Key``, unless it is empty.

        Raises:
            ActionError: there is no answer in time, it is not a success, or an environment variable is missing.
        """
        form = aiohttp.MultipartWriter("form-data")
        part = form.append(io.BytesIO(text), {"Content-Type": "application/json"})
        part.set_content_disposition("form-data", name="event")
        part = form.append(io.BytesIO(picture.data), {"Content-Type": picture.media_type})
        file_name = safe_name(name).removesuffix(picture.suffix) or "frame"
        part.set_content_disposition("form-data", name="image", filename=file_name + picture.suffix)
        return await self._send(form, {"content-type": form.headers["Content-Type"]}, key)

    async def _send(
        self, body: io.BytesIO | aiohttp.MultipartWriter | None, own: Mapping[str, str], key: str
    ) -> tuple[int, str]:
        secrets = Secrets()
        url = secrets.fill_in("HttpRequestAction.url", self._url)
        headers = {"accept-encoding": "identity"}
        if key:
            headers["idempotency-key"] = key
        for name, value in self._headers.items():
            headers[name.lower()] = secrets.fill_in(f"HttpRequestAction.headers[{name!r}]", value)
        headers |= own

        what = f"{self._method} {self._url}"
        try:
            async with self._session.request(
                self._method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                text = secrets.hide(await _start_of(answer))
        except TimeoutError:
            raise ActionError(f"{what}: no answer within {self._timeout:g} s", may_pass=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not `from error`: it holds the request with its secrets. It is the way there that fails, not the event.
            raise ActionError(f"{what}: {secrets.hide(_reason(error))}", may_pass=True) from None
        if 200 <= answer.status < 300:
            return answer.status, text
        hint = ", and redirects are not followed" if 300 <= answer.status < 400 else ""
        raise ActionError(
            f"{what}: the server answered {answer.status}{hint}: {' '.join(text[:_SHOWN_CHARACTERS].split())}",
            status=answer.status,
            retry_after=retry_after(answer.headers.get("retry-after"), datetime.now(UTC)),
        )


async def _start_of(answer: aiohttp.ClientResponse) -> str:
    start = bytearray()
    async for chunk in answer.content.iter_any():
        start += chunk
        if len(start) >= MAX_ANSWER_BYTES:
            break
    return start[:MAX_ANSWER_BYTES].decode(errors="replace")


def _reason(error: Exception) -> str:
    """Say what went wrong without the URL that aiohttp puts into some of its messages, secrets and all."""
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "this is not a valid URL once its environment variables are filled in"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"malformed answer: {error.message}"
    return f"{type(error).__name__}: {error}"
