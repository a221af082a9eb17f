"""Inferences on their way to a drift monitor's worker thread."""

import logging
from collections import deque
from collections.abc import Callable

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks.frame import Frame
from aiohooks.monitors.drift.admission import Admission
from aiohooks.monitors.drift.counts import DriftCounts
from aiohooks.monitors.drift.ingest import MOST_CHARACTERS
from aiohooks.monitors.drift.observation import Drawn, Observation, label_of, observe
from aiohooks.monitors.drift.tally import weight_of
from aiohooks.monitors.drift.thumbnail import small
from aiohooks.prediction import Prediction

logger = logging.getLogger("aiohooks.monitors")

GATHERED = 64
"""Inferences that are handed to the worker thread at once; fewer, if they come slowly."""

GATHER_SECONDS = 0.25

MOST_WAITING = 4096
"""Inferences that wait for the worker thread; further ones are dropped and counted, so that inference never waits."""

LARGE_PIXELS = 200_000
"""Of a picture that is made small in a worker thread; below, it takes a fraction of a millisecond."""


class Intake:
    """Copies what is needed of inferences, and holds it until the worker thread takes it.

    Args:
        name: of the monitor, in messages.
        counts: where inferences are counted, and those that are dropped.
        segment: what inferences are told apart by: a name, or a function of frame and prediction that gives one.
        examples: draw small pictures of some.

    Attributes:
        waiting: what the worker thread is to take, in its order.
    """

    def __init__(
        self, name: str, counts: DriftCounts, segment: str | Callable[[Frame, Prediction], str], *, examples: bool
    ) -> None:
        self.waiting: deque[Observation] = deque()
        self._name = name
        self._counts = counts
        self._segment = segment[:MOST_CHARACTERS] if isinstance(segment, str) else segment
        self._segment_failed = False
        self._examples = examples
        self._admission = Admission()
        self._some = anyio.Event()
        self._many = anyio.Event()

    async def observe(self, frame: Frame, prediction: Prediction) -> bool:
        """Take an inference in, and return whether it is the first that waits; where too many wait, it is dropped."""
        if len(self.waiting) >= MOST_WAITING:
            self._counts.observed += 1
            self._counts.dropped += 1
            return False
        segment = self._segment if isinstance(self._segment, str) else self._segment_of(frame, prediction)
        observation = observe(frame, prediction, segment=segment)
        if self._examples:
            key = self._admission.draw(observation.time, str(segment), weight_of(prediction.ood_score))
            if key is not None:
                observation = observation._replace(drawn=Drawn(key, await _thumbnail(frame), label_of(prediction)))
        self._counts.observed += 1
        self.waiting.append(observation)
        is_first = not self._some.is_set()
        self._some.set()
        if len(self.waiting) >= GATHERED:
            self._many.set()
        return is_first

    async def gathered(self) -> None:
        """Wait until there are some, and then for a moment, unless there are many."""
        await self._some.wait()
        with anyio.move_on_after(GATHER_SECONDS):
            await self._many.wait()

    def begin_taking(self) -> None:
        """Say that the worker thread is about to take what waits."""
        self._some, self._many = anyio.Event(), anyio.Event()

    def end_taking(self) -> None:
        """Say that the worker thread has taken it, or as many as it takes at once."""
        if self.waiting:
            self._some.set()

    def _segment_of(self, frame: Frame, prediction: Prediction) -> object:
        """Return what the function says; what it raises is no text, and so counted as a wrong segment."""
        assert callable(self._segment)
        try:
            segment: object = self._segment(frame, prediction)
        except Exception as error:
            if not self._segment_failed:
                self._segment_failed = True
                logger.exception("drift monitor %s: the segment of an inference cannot be told", self._name)
            return error
        return segment[:MOST_CHARACTERS] if isinstance(segment, str) else segment


async def _thumbnail(frame: Frame) -> NDArray[np.uint8]:
    if frame.width * frame.height <= LARGE_PIXELS:
        return small(frame.image)
    return await anyio.to_thread.run_sync(small, frame.image)
