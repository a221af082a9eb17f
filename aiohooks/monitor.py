"""Monitors: they see every prediction of a deployment before the hooks and the caller do."""

import logging
from typing import Protocol

from aiohooks.frame import Frame
from aiohooks.histogram import Histogram
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.prediction import Prediction

logger = logging.getLogger("aiohooks")

OOD_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Upper bounds of the buckets in which OOD scores are counted."""


class Monitor(Protocol):
    """Watches the predictions of a deployment that it is attached to.

    It may also have a method ``metrics() -> Iterable[Family]``: a server shows what that returns at ``/metrics``.
    """

    def attached(self, description: ModelDescription, /) -> None:
        """Take note of the model that it is attached to, once that is loaded.

        Raises:
            SpecError: the model does not give what the monitor needs; the message says what, and how to get it.
        """
        ...

    async def observe(self, frame: Frame, prediction: Prediction, /) -> Prediction:
        """Take in one inference and return its prediction, perhaps with more on it.

        The hooks and the caller of the inference wait for it and see what it returns; several inferences may be under way at once.
        """
        ...


class AttachedMonitor:
    """A monitor at work. An exception that it raises is counted and, the first times, logged; the prediction goes on without it.

    Args:
        monitor: the monitor.

    Attributes:
        monitor: the monitor.
        seen: predictions shown to it.
        failed: those on which it raised.
        ood_scores: those that it has put on predictions.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.seen = 0
        self.failed = 0
        self.ood_scores = Histogram(OOD_BOUNDS)

    def __repr__(self) -> str:
        return f"AttachedMonitor({self.monitor!r}, seen={self.seen}, failed={self.failed})"

    async def observe(self, frame: Frame, prediction: Prediction) -> Prediction:
        """Show the monitor a prediction and return what it makes of it."""
        self.seen += 1
        try:
            found = await self.monitor.observe(frame, prediction)
            # Not by value: what runs elsewhere may come with a score, and get the same one here.
            if found.ood_score is not None and found.ood_score is not prediction.ood_score:
                self.ood_scores.add(found.ood_score)
        except Exception as error:
            self.failed += 1
            if str(self.failed).strip("0") != "1":  # of those that fail on every frame, the 1st, 10th, 100th …
                return prediction
            logger.warning(
                "monitor %s failed on %d of %d predictions, now on frame %s: %s: %s", type(self.monitor).__name__, self.failed, self.seen,
                frame.name or frame.index, type(error).__name__, error,
                exc_info=error if self.failed == 1 else None,
            )  # fmt: skip
            return prediction
        return found
