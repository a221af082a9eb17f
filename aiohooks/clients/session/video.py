"""Predictions of a video's frames, as they are made."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anyio
import msgspec

from aiohooks.clients.session.answers import JobStarted, JobState
from aiohooks.clients.session.calls import Calls
from aiohooks.clients.session.reading import Reader, read
from aiohooks.clients.session.request import Call
from aiohooks.errors import SessionError
from aiohooks.prediction import Prediction

if TYPE_CHECKING:
    from aiohooks.clients.session.connection import Connection  # loads aiohttp

WAIT_SECONDS = 10.0
"""How long our server is asked to wait for the next result before it answers that there is none."""

FIRST_PAUSE, LONGEST_PAUSE, PAUSE_GROWTH = 0.02, 1.0, 1.5
"""Seconds between requests to a server that answers at once that there is nothing new."""

CLOSE_SECONDS = 5.0
"""How long the server may take to accept that nobody wants the rest."""

RUNNING = "Running inference..."


class VideoResult(NamedTuple):
    """A frame of a video: its number, from 0, and what the model saw in it."""

    frame_index: int
    prediction: Prediction


class VideoInference(AsyncIterator[VideoResult]):
    """Results of the frames of a video, in their order, as an async iterator with a length.

    Use it in ``async with``: however the block is left, the work on the server stops. A bare ``async for`` stops it when the loop
    ends, or once its iterator is gone after a ``break``.

    Args:
        connection: to the server.
        calls: makes the requests about the job.
        prepare: makes the request that starts the job.
        reader: of predictions.
        result_timeout: seconds without a new result after which it is given up.
        show_progress: draw a progress bar on standard error.
        on_close: called once when it has closed.
    """

    def __init__(
        self,
        connection: "Connection",
        calls: Calls,
        prepare: Callable[[], Awaitable[Call]],
        reader: Callable[[], Reader],
        *,
        result_timeout: float,
        show_progress: bool,
        on_close: Callable[["VideoInference"], None],
    ) -> None:
        self._connection = connection
        self._calls = calls
        self._prepare = prepare
        self._reader = reader
        self._result_timeout = result_timeout
        self._show_progress = show_progress
        self._on_close = on_close
        self._job: str | None = None
        self._total: int | None = None
        self._taken = 0
        self._ready: deque[VideoResult] = deque()
        self._state = "new"
        self._closed = anyio.Event()
        self._has_ended = False
        self._failure: str | None = None
        self._in_block = False
        self._bar: Any = None

    @property
    def total(self) -> int | None:
        """How many frames there are to infer; None before it has started."""
        return self._total

    def __len__(self) -> int:
        """How many frames there are to infer.

        Raises:
            SessionError: it has not started.
        """
        if self._total is None:
            raise SessionError("the length of a video is known once its inference has started: use `async with`")
        return self._total

    def __bool__(self) -> bool:
        return True

    async def __aenter__(self) -> Self:
        self._in_block = True
        try:
            await self._start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncGenerator[VideoResult, None]:
        # A generator, because asyncio finalises those whose loop was left by break.
        try:
            while True:
                try:
                    yield await self.__anext__()
                except StopAsyncIteration:
                    return
        finally:
            if not self._in_block:
                await self.aclose()

    async def __anext__(self) -> VideoResult:
        if self._state == "new":
            await self._start()
        if self._state != "running":
            raise StopAsyncIteration
        if not self._ready and not self._has_ended:
            await self._take_more()
        if not self._ready:
            await self._end()
            raise StopAsyncIteration
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.update()
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Stop the work on the server, if there is any left, and let it forget the job."""
        if self._state == "closed":
            await self._closed.wait()
            return
        self._state = "closed"
        self._ready.clear()
        try:
            if self._bar is not None:
                self._bar.close()
            if self._job is not None:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await self._give_up(stop=not self._has_ended)
        finally:
            self._closed.set()
            self._on_close(self)

    async def _start(self) -> None:
        call = await self._prepare()
        if self._state != "new":
            raise SessionError("this inference of a video has been closed")
        body = await self._connection.ask(call)
        started = await read(body, call.method, _as_it_is, JobStarted)
        self._job = started.inference_request_uuid
        if self._state != "new":  # closed meanwhile, when there was no job yet to stop
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await self._give_up(stop=True)
            raise SessionError("this inference of a video has been closed")
        self._state = "running"
        await self._wait_for_length()
        if self._show_progress:
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, unit=" frames", leave=False)

    async def _wait_for_length(self) -> None:
        """Wait until the server knows how many frames there are; a total of 1 may mean that it does not."""
        now = asyncio.get_running_loop().time
        give_up = now() + self._result_timeout
        pause = FIRST_PAUSE
        while True:
            state = await self._ask("get_inference_progress")
            if state.error is not None:
                break
            if state.progress.total not in (None, 1):
                self._total = state.progress.total
                return
            if state.stage == RUNNING or state.has_results or state.finished:
                break
            if now() >= give_up:
                raise SessionError(f"the server did not begin with the video within {self._result_timeout:g} s")
            await anyio.sleep(pause)
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)
        await self._take_more()

    async def _take_more(self) -> None:
        """Take results that are there, or else wait for some; none are there at the end."""
        now = asyncio.get_running_loop().time
        give_up = now() + self._result_timeout
        pause = FIRST_PAUSE
        while True:
            asked = now()
            state = await self._pop()
            if state.progress.total is not None:
                self._total = state.progress.total
            if state.error is not None:
                self._failure, self._has_ended = state.error, True
            if not self._ready and state.has_ended:
                self._has_ended = True
            if self._ready or self._has_ended:
                return
            if now() >= give_up:
                raise SessionError(f"the server had no new result for {self._result_timeout:g} s", may_pass=True)
            # Our server has waited already.
            await anyio.sleep(max(0.0, asked + pause - now()))
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)

    async def _end(self) -> None:
        """Close at the end of the results, and raise if some are missing."""
        expected, self._total = self._total, self._taken
        await self.aclose()
        if self._failure is not None:
            raise SessionError(f"the inference failed on the server: {self._failure}")
        if expected is not None and self._taken < expected:
            raise SessionError(
                f"the server ended after {self._taken} of {expected} results: it was stopped, or an answer of it was lost"
            )

    async def _pop(self) -> JobState:
        method = "pop_inference_results"
        # Our server keeps what it has handed out until it is told that it has arrived, and waits for what is not made yet.
        more = {"first_result": self._taken, "wait_seconds": WAIT_SECONDS}
        body = await self._connection.ask(self._of_job(method, more, more_seconds=WAIT_SECONDS))
        reader = self._reader()

        def convert(state: JobState) -> tuple[JobState, list[VideoResult]]:
            raw = state.pending_results if isinstance(state.pending_results, list) else []
            results = []
            for offset, each in enumerate(raw):
                data = msgspec.json.decode(each)
                index = data.get("frame_index") if isinstance(data, dict) else None
                found = index if isinstance(index, int) else self._taken + offset
                results.append(VideoResult(found, reader.prediction(data)))
            return state, results

        state, results = await read(body, method, convert, JobState)
        self._ready.extend(results)
        self._taken += len(results)
        return state

    async def _give_up(self, *, stop: bool) -> None:
        for method in ("stop_inference", "clear_inference_request") if stop else ("clear_inference_request",):
            try:
                await self._connection.ask(self._of_job(method, {}))
            except SessionError:
                return  # it ends there when nobody asks for it any more

    async def _ask(self, method: str) -> JobState:
        body = await self._connection.ask(self._of_job(method, {}))
        return await read(body, method, _as_it_is, JobState)

    def _of_job(self, method: str, more: Mapping[str, Any], *, more_seconds: float = 0.0) -> Call:
        state = {"inference_request_uuid": self._job, **more}
        return self._calls.of_state(method, state, more_seconds=more_seconds)


def _as_it_is(data: Any) -> Any:
    return data


def video_state(*, start: int | None, count: int | None, stride: int, direction: str) -> dict[str, Any]:
    """Return which frames are wanted, in the names that all generations of Supervisely's apps read.

    Args:
        start: number of the first frame; by default the first in that direction.
        count: results that are wanted; None for all.
        stride: take every ``stride``-th frame.
        direction: ``forward`` or ``backward``.

    Raises:
        ValueError: these are no frames.
    """
    if (start or 0) < 0 or stride < 1 or (count is not None and count < 1) or direction not in ("forward", "backward"):
        raise ValueError(
            "expected start >= 0, count >= 1, stride >= 1 and direction 'forward' or 'backward', "
            f"got {start=}, {count=}, {stride=}, {direction=}"
        )
    state: dict[str, Any] = {"stride": stride, "step": stride, "direction": direction, "framesDirection": direction}
    if start is not None:
        state |= {"startFrameIndex": start, "start_frame": start}
    if count is not None:
        span = (count - 1) * stride + 1  # servers count the frames that are left out, too
        state |= {"framesCount": span, "num_frames": span}
    return state
