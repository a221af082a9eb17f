"""Ending a run before its sources end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import anyio

from aiohooks.frame import Frame
from aiohooks.sources import FrameSource


class Ending:
    """Why a run is to end early, and who waits for that.

    Attributes:
        reason: for people; empty while the run may go on.
        exit_code: of the program, if there is a reason.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.exit_code = 0
        self._scopes: set[anyio.CancelScope] = set()

    def end(self, reason: str, exit_code: int) -> None:
        """Let no more frames in; the first reason counts."""
        if not self.reason:
            self.reason, self.exit_code = reason, exit_code
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def cuts_short(self) -> Iterator[None]:
        """Cancel what is waited for in the block once the run is to end, and go on behind the block."""
        with anyio.CancelScope() as scope:
            if self.reason:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)


class FramesUntil:
    """The frames of a source, until a run is to end.

    Args:
        source: the frames.
        ending: tells when.
    """

    def __init__(self, source: FrameSource, ending: Ending) -> None:
        self._frames = aiter(source)
        self._ending = ending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        with self._ending.cuts_short():
            return await anext(self._frames)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the source."""
        await self._frames.aclose()
