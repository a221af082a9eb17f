"""Frames through a model, in order, with a bound on how many are in memory."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from aiohooks.errors import AiohooksError, FrameError, InferenceError, InferQueueClosed
from aiohooks.frame import Frame
from aiohooks.inference.bell import Bell
from aiohooks.inference.result import Result
from aiohooks.prediction import Prediction
from aiohooks.task_owner import StartSoon

logger = logging.getLogger("aiohooks.inference")

SOURCE_CLOSE_SECONDS = 5.0
"""How long a source may take to close before it is left behind."""


class Stream(AsyncIterator[Result]):
    """Results of the frames of a source, as an async iterator.

    Use it in ``async with``: however the block is left, nothing keeps running. A bare ``async for`` closes it
    when the loop ends, or once its iterator is gone after a ``break``.

    A frame that cannot be read or inferred is a `Result` with an error; the stream goes on. When the source
    itself raises anything but a `FrameError`, that is raised here after the results of the frames before.

    Args:
        frames: the source.
        infer: turns a frame into its prediction.
        take: called with each frame before the source is asked for the next, which may reuse its memory.
        ordered: results in the order of the frames; else as they finish.
        max_in_flight: frames in memory at most, with the one whose result the reader holds.
        start_soon: starts the tasks that do the work.
        on_close: called once when the stream has closed.
    """

    def __init__(
        self,
        frames: AsyncIterator[Frame],
        infer: Callable[[Frame], Awaitable[Prediction]],
        *,
        take: Callable[[Frame], Awaitable[Frame]] | None = None,
        ordered: bool,
        max_in_flight: int,
        start_soon: StartSoon,
        on_close: Callable[["Stream"], None],
    ) -> None:
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, got {max_in_flight}")
        self._frames = frames
        self._infer = infer
        self._take = take
        self._ordered = ordered
        self._max_in_flight = max_in_flight
        self._start_soon = start_soon
        self._on_close = on_close

        self._loop: asyncio.AbstractEventLoop | None = None
        self._scope = anyio.CancelScope()
        self._started = False
        self._closed = False
        self._in_block = False
        self._being_read = False
        self._finished = anyio.Event()
        self._news = Bell()  # for the reader

        self._reading = False  # whether a worker is reading the source
        self._line: deque[asyncio.Future[None]] = deque()  # workers that wait for their turn, or for room
        self._queueing = 0  # those and the one that reads
        self._workers = 0

        self._asked = 0  # frames asked of the source so far
        self._handed_out = 0  # results given to the reader so far
        self._holding = False  # whether the reader still holds the last of them
        self._in_flight = 0  # frames that were asked for and that the reader has not let go of
        self._ready: dict[int, Result] = {}
        self._exhausted = False
        self._failure: Exception | None = None

    @property
    def in_flight(self) -> int:
        """Frames in memory now, with the one that is being read and the one in the reader's hands."""
        return self._in_flight

    async def __aenter__(self) -> Self:
        self._in_block = True
        self._start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncGenerator[Result, None]:
        # A generator, because asyncio finalises those whose loop was left by break.
        try:
            while True:
                try:
                    result = await self.__anext__()
                except StopAsyncIteration:
                    return
                yield result
                del result
        finally:
            if not self._in_block:
                await self.aclose()

    async def __anext__(self) -> Result:
        if self._being_read:
            raise RuntimeError("this stream is already being read by another task")
        self._start()
        if self._max_in_flight == 1:
            self._let_go()
        self._being_read = True
        try:
            while (result := self._take_ready()) is None:
                if self._closed or (self._exhausted and self._handed_out == self._asked):
                    await self._finished.wait()
                    if self._failure is not None:
                        raise self._failure
                    raise StopAsyncIteration
                await self._news.wait()
        finally:
            self._being_read = False
        self._let_go()
        self._holding = True
        self._handed_out += 1
        return result

    async def aclose(self) -> None:
        """Stop reading, drop what is in flight, and close the source."""
        self._closed = True
        self._scope.cancel()
        self._start()
        with anyio.CancelScope(shield=True):
            await self._finished.wait()

    async def abort(self, error: AiohooksError) -> None:
        """Close it from the other side: the reader gets the error instead of an early end."""
        if not self._finished.is_set():
            self._failure = error
        await self.aclose()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._start_soon(self._run)

    async def _run(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
            with self._scope:
                async with anyio.create_task_group() as workers:
                    self._add_worker(workers)
        finally:
            with anyio.move_on_after(SOURCE_CLOSE_SECONDS, shield=True):
                await _close(self._frames)
            if not self._exhausted and not self._closed:
                self._closed = True
                self._failure = InferQueueClosed("what the stream runs in has ended")
            if self._closed:
                self._ready.clear()
                self._in_flight = 0
                self._holding = False
            self._finished.set()
            self._news.ring()
            self._on_close(self)

    def _add_worker(self, workers: TaskGroup) -> None:
        self._workers += 1
        workers.start_soon(self._work, workers)

    async def _work(self, workers: TaskGroup) -> None:
        """Read a frame when it is this worker's turn, infer it, and again; more workers join while all are busy."""
        while (item := await self._next_frame()) is not None:
            if not self._queueing and self._workers < self._max_in_flight:
                self._add_worker(workers)
            self._place(await self._infer_item(*item))
            del item

    async def _next_frame(self) -> tuple[int, Frame] | None:
        """Wait for a turn and for room, and read a frame; None at the end of the source."""
        item = None
        self._queueing += 1
        while item is None and not self._exhausted:
            if self._reading or self._in_flight >= self._max_in_flight:
                await self._stand_in_line()
            else:
                self._reading = True
                item = await self._read()
                self._reading = False
        self._queueing -= 1
        self._call_next()
        return item

    async def _stand_in_line(self) -> None:
        assert self._loop is not None
        called: asyncio.Future[None] = self._loop.create_future()
        self._line.append(called)
        await called

    def _call_next(self) -> None:
        """Wake the first in line if it can read now; all of them if there is nothing left to read."""
        while self._line and (self._exhausted or (not self._reading and self._in_flight < self._max_in_flight)):
            called = self._line.popleft()
            if not called.done():
                called.set_result(None)
                if not self._exhausted:
                    return

    async def _read(self) -> tuple[int, Frame] | None:
        index = self._asked
        self._asked += 1
        self._in_flight += 1
        try:
            frame = await anext(self._frames)
            return index, frame if self._take is None or frame.owned else await self._take(frame)
        except StopAsyncIteration:
            self._stop_reading()
        except FrameError as error:
            self._place(Result(index, error))
        except Exception as error:
            self._failure = error
            self._stop_reading()
        return None

    def _stop_reading(self) -> None:
        self._exhausted = True
        self._asked -= 1
        self._in_flight -= 1
        self._news.ring()

    async def _infer_item(self, index: int, frame: Frame) -> Result:
        try:
            return Result(index, None, frame, await self._infer(frame))
        except AiohooksError as error:
            return Result(index, error, frame)
        except Exception as error:
            failure = InferenceError(f"frame {frame.name or index}: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return Result(index, failure, frame)

    def _place(self, result: Result) -> None:
        self._ready[result.index] = result
        if result.index == self._handed_out or not self._ordered:
            self._news.ring()

    def _take_ready(self) -> Result | None:
        if not self._ready:
            return None
        return self._ready.pop(self._handed_out if self._ordered else next(iter(self._ready)), None)

    def _let_go(self) -> None:
        """Count the result that the reader held until now as gone."""
        if self._holding:
            self._holding = False
            self._in_flight -= 1
            self._call_next()


async def _close(frames: AsyncIterator[Frame]) -> None:
    aclose = getattr(frames, "aclose", None)
    if aclose is not None:
        try:
            await aclose()
        except Exception:
            logger.warning("a source of frames failed while it was closed", exc_info=True)
