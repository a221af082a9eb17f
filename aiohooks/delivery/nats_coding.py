"""Items as the bodies of messages, and back; large ones in a worker thread."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio.to_thread
import msgspec

T = TypeVar("T")

MOST_BYTES = 512 * 1024
"""Of a body that is handled on the event loop, which takes up to about a millisecond."""


async def off_loop_if_large(nbytes: int, function: Callable[..., T], *args: Any) -> T:
    """Return what a function returns that copies so many bytes."""
    if nbytes <= MOST_BYTES:
        return function(*args)
    return await anyio.to_thread.run_sync(function, *args)


async def encoded(message: Any, nbytes: int) -> bytes:
    """Return a message as MessagePack.

    Args:
        message: a `msgspec.Struct`.
        nbytes: that it takes, about.
    """
    return await off_loop_if_large(nbytes, msgspec.msgpack.encode, message)


async def decoded(body: bytes, kind: type[T]) -> T:
    """Return what is in a body.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    return await off_loop_if_large(len(body), _decode, body, kind)


async def joined(chunks: Sequence[bytes]) -> bytes:
    """Return chunks as one body."""
    return await off_loop_if_large(sum(map(len, chunks)), b"".join, chunks)


def _decode(body: bytes, kind: type[T]) -> T:
    return msgspec.msgpack.decode(body, type=kind)
