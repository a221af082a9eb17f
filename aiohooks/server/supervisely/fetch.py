"""Pictures from the web, where the operator allows it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import anyio

from aiohooks.server.refusal import Refusal

FETCH_SECONDS = 30.0
"""For one picture."""


class Fetcher:
    """Fetches pictures by their URLs, without following redirects: they could lead where the client may not go.

    Args:
        is_allowed: whether it does.
    """

    def __init__(self, *, is_allowed: bool) -> None:
        self._is_allowed = is_allowed

    async def fetch(self, url: object, *, most: int) -> bytes:
        """Return the bytes behind a URL.

        Raises:
            Refusal: 403, fetching is not allowed here; 400, it is no URL, or what is there cannot be had; 413, it has more than
                ``most`` bytes.
        """
        if not self._is_allowed:
            raise Refusal(403, "this server does not fetch pictures; send the picture itself")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise Refusal(400, "image_url: expected a URL that begins with http:// or https://")
        try:
            with anyio.fail_after(FETCH_SECONDS):
                async with _get(url) as answer:
                    if answer.status != 200:
                        raise Refusal(400, f"image_url: the server there answered {answer.status}")
                    content = bytearray()
                    async for chunk in answer.content.iter_any():
                        content += chunk
                        if len(content) > most:
                            raise Refusal(413, f"image_url: the picture has more than {most} bytes")
                    return bytes(content)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise Refusal(400, "image_url: this is no address") from None
        except (aiohttp.ClientError, OSError):  # TimeoutError too
            raise Refusal(400, "image_url: there was no answer from there") from None


@asynccontextmanager
async def _get(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        headers = {"accept-encoding": "identity"}
        async with session.get(url, allow_redirects=False, headers=headers) as answer:
            yield answer
