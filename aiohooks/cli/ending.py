"""Ending a run before its sources end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import anyio

from aiohooks.frame import Frame
from aiohooks.sources import FrameSource


class Ending:
    """Why a run is to end early, and what that cuts short.

    Attributes:
        reason: for people; empty while the run may go on.
        exit_code: of the program, if there is a reason.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.exit_code = 0
        self._patience: dict[anyio.CancelScope, float] = {}

    def end(self, reason: str, exit_code: int) -> None:
        """Let no more frames in; the first reason counts."""
        if self.reason:
            return
        self.reason, self.exit_code = reason, exit_code
        for scope, seconds in self._patience.items():
            scope.deadline = anyio.current_time() + seconds

    @contextmanager
    def cuts_short(self, *, after: float = 0) -> Iterator[anyio.CancelScope]:
        """Cancel the block, and go on after it, once the run is told to end and this many seconds have passed."""
        with anyio.CancelScope() as scope:
            self._patience[scope] = after
            try:
                yield scope
            finally:
                del self._patience[scope]


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
        if not self._ending.reason:
            with self._ending.cuts_short():
                return await anext(self._frames)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the source."""
        await self._frames.aclose()
