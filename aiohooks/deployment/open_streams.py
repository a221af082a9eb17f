"""The streams of a deployment that are being read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

from aiohooks.deployment.life_cycle import LifeCycle
from aiohooks.errors import AiohooksError
from aiohooks.frame import Frame
from aiohooks.inference.stream import Stream
from aiohooks.prediction import Prediction

_read_for: ContextVar["OpenStreams | None"] = ContextVar("_read_for", default=None)


class OpenStreams:
    """Streams whose tasks belong to a deployment, which ends those that are left when it closes.

    Args:
        life: of the deployment; its tasks read the sources.
    """

    def __init__(self, life: LifeCycle) -> None:
        self._life = life
        self._streams: set[Stream] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(set(self._streams))

    def are_at_work(self) -> bool:
        """Tell whether the caller is one of their sources."""
        return _read_for.get() is self

    def open(
        self,
        frames: AsyncIterator[Frame],
        infer: Callable[[Frame], Awaitable[Prediction]],
        *,
        take: Callable[[Frame], Awaitable[Frame]] | None,
        ordered: bool,
        max_in_flight: int,
    ) -> Stream:
        """Make a stream; see `Stream` for the arguments."""
        stream = Stream(
            frames,
            infer,
            take=take,
            ordered=ordered,
            max_in_flight=max_in_flight,
            start_soon=self._start_reading,
            on_close=self._streams.discard,
        )
        self._streams.add(stream)
        return stream

    async def abort(self, error: AiohooksError) -> None:
        """Close all of them; their readers get the error."""
        for stream in self:
            await stream.abort(error)

    def _start_reading(self, function: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> None:
        before = _read_for.set(self)
        try:
            self._life.tasks.start_soon(function, *args)
        finally:
            _read_for.reset(before)
