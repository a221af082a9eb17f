"""One frame of a stream with what became of it."""

from dataclasses import dataclass
from typing import Any

from aiohooks.errors import AiohooksError
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A frame and its prediction, or the reason why there is none.

    Attributes:
        index: position in the stream, from 0.
        error: why there is no prediction; None if there is one.
    """

    index: int
    error: AiohooksError | None = None
    _frame: Frame | None = None
    _prediction: Prediction | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a prediction."""
        return self._prediction is not None

    @property
    def frame(self) -> Frame:
        """The frame; raises the error if it could not be read."""
        if self._frame is None:
            raise self._reason()
        return self._frame

    @property
    def prediction(self) -> Prediction:
        """What the model saw; raises the error if the frame could not be read or inferred."""
        if self._prediction is None:
            raise self._reason()
        return self._prediction

    @property
    def context(self) -> Any:
        """The frame's context; None if the frame could not be read."""
        return self._frame.context if self._frame is not None else None

    def _reason(self) -> AiohooksError:
        return self.error if self.error is not None else AiohooksError("this result holds neither prediction nor error")
