"""Pictures from the web, where the operator allows it."""

import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from ipaddress import ip_address

import aiohttp
import anyio
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from aiohooks.server.refusal import Refusal
from aiohooks.server.supervisely.public_address import is_public

FETCH_SECONDS = 30.0
"""For one picture."""

UrlFetch = bool | Collection[str]
"""Whether pictures are fetched from URLs: not at all, from public addresses, or only from hosts of these names or addresses."""


class Fetcher:
    """Fetches pictures by their URLs.

    A name is resolved once, and what it was resolved to is what is connected to. Redirects are not followed.

    Args:
        allowed: where from.
    """

    def __init__(self, allowed: UrlFetch) -> None:
        self._is_on = allowed is True or bool(allowed)
        self._hosts = None if isinstance(allowed, bool) else frozenset(map(_as_sent, allowed))

    async def fetch(self, url: object, *, most: int, take: Callable[[int], object] = lambda _: None) -> bytes:
        """Return the bytes behind a URL.

        Args:
            url: of the picture.
            most: bytes that it may have.
            take: is told how many bytes have come, as they come; may refuse them.

        Raises:
            Refusal: 403, fetching is not allowed here, or not from there; 400, it is no URL, or what is there cannot be had; 413, it
                has more than ``most`` bytes.
        """
        if not self._is_on:
            raise Refusal(403, "this server does not fetch pictures; send the picture itself")
        address = _address_of(url)
        host = (address.raw_host or "").lower()
        if self._hosts is not None and host not in self._hosts:
            raise _not_from_there()
        if self._hosts is None and _is_address(host) and not is_public(host):
            raise _not_from_there()
        resolver = _PublicResolver() if self._hosts is None else None
        try:
            with anyio.fail_after(FETCH_SECONDS):
                async with _get(address, resolver) as answer:
                    if answer.status != 200:
                        raise Refusal(400, f"image_url: the server there answered {answer.status}")
                    content = bytearray()
                    async for chunk in answer.content.iter_any():
                        take(len(chunk))
                        content += chunk
                        if len(content) > most:
                            raise Refusal(413, f"image_url: the picture has more than {most} bytes")
                    return bytes(content)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise Refusal(400, "image_url: this is no address") from None
        except (aiohttp.ClientError, OSError):  # TimeoutError too
            raise Refusal(400, "image_url: there was no answer from there") from None


class _PublicResolver(AbstractResolver):
    """Resolves names, but only to public addresses."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise _not_from_there()
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _address_of(url: object) -> URL:
    """Return a URL, read once: what is checked is what is connected to."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise Refusal(400, "image_url: expected a URL that begins with http:// or https://")
    try:
        address = URL(url)
        _ = address.port
    except ValueError:
        address = URL()
    if not address.raw_host:
        raise Refusal(400, "image_url: this is no address")
    return address


def _as_sent(host: str) -> str:
    """Return the name of a host as it is asked for: in ASCII."""
    try:
        return (URL.build(scheme="http", host=host).raw_host or host).lower()
    except ValueError:
        return host.lower()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _not_from_there() -> Refusal:
    return Refusal(403, "image_url: this server does not fetch pictures from there; send the picture itself")


@asynccontextmanager
async def _get(url: URL, resolver: AbstractResolver | None) -> AsyncIterator[aiohttp.ClientResponse]:
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        headers = {"accept-encoding": "identity"}
        async with session.get(url, allow_redirects=False, headers=headers) as answer:
            yield answer
