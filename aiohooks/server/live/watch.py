"""Looks over a deployment's shoulder while somebody watches."""

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import anyio.to_thread

from aiohooks.frame import Frame
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.prediction import Prediction
from aiohooks.server.live.drawing import Drawn
from aiohooks.server.live.latest import Latest
from aiohooks.sources.convert import decoding_threads

logger = logging.getLogger("aiohooks.server")

LARGE_BYTES = 2 * 1024 * 1024
"""Pixels of others beyond this are copied in a worker thread."""

MOST_SCORES = 64
"""OOD scores that are kept from one look at them to the next, the latest ones."""


class Sighting(NamedTuple):
    """An inference that is to be shown."""

    frame: Frame
    prediction: Prediction


class Watch:
    """A monitor that takes an inference when one is wanted, and OOD scores; the others pass by at the price of a call.

    Args:
        came: called when a sighting is there.

    Attributes:
        picture: the latest one, ready to be sent.
        scores: OOD scores since they were last taken.
        seconds: when its last picture was drawn, in the clock of `anyio.current_time`.
    """

    def __init__(self, came: Callable[[], None]) -> None:
        self.picture: Latest[Drawn] = Latest()
        self.scores: deque[float] = deque(maxlen=MOST_SCORES)
        self.seconds = 0.0
        self._came = came
        self._is_wanted = False
        self._sighting: Sighting | None = None

    @property
    def has_one(self) -> bool:
        """Whether a sighting waits to be taken."""
        return self._sighting is not None

    def want(self) -> None:
        """Ask for the next inference."""
        self._is_wanted = self._sighting is None

    def take(self) -> Sighting:
        """Return the sighting, which must be there."""
        assert self._sighting is not None
        sighting, self._sighting = self._sighting, None
        return sighting

    def forget(self) -> None:
        """Let go of what nobody watches any more."""
        self._is_wanted = False
        self._sighting = None
        self.scores.clear()

    def attached(self, _description: ModelDescription, /) -> None:
        """Take any model."""

    async def observe(self, frame: Frame, prediction: Prediction, /) -> Prediction:
        """Take the inference if one is wanted; the prediction is returned as it is."""
        if prediction.ood_score is not None:
            self.scores.append(prediction.ood_score)
        if self._is_wanted:
            self._is_wanted = False
            if frame.owned or frame.image.nbytes <= LARGE_BYTES:
                frame = frame.snapshot()
            else:
                frame = await anyio.to_thread.run_sync(frame.snapshot, limiter=decoding_threads())
            self._sighting = Sighting(frame, prediction)
            self._came()
        return prediction
