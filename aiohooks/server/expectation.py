"""The header Expect: a client asks whether it may send its body."""

from aiohttp import HttpVersion11, web

from aiohooks.server.refusal import Refusal


async def leave_to_the_gate(_: web.Request) -> None:  # noqa: ASYNC124  # aiohttp awaits it, before any middleware
    """Tell a client nothing yet."""


async def meet(request: web.Request) -> None:
    """Let a client send the body that it asks about.

    Raises:
        Refusal: 417, it expects something else.
    """
    expected = request.headers.get("Expect")
    if expected is None or request.version != HttpVersion11:
        return
    if expected.lower() != "100-continue":
        raise Refusal(417, "Expect: this server knows 100-continue only")
    writer = request.writer
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    writer.output_size = 0  # the answer itself has not begun
