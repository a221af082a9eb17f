"""Frames that are unlike what the model was trained with."""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import anyio
import anyio.to_thread
import msgspec
from msgspec import Meta

from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.frame import Frame
from aiohooks.hooks.named_files import SavedFile, found
from aiohooks.hooks.triggers import Combinable
from aiohooks.hooks.verdict import FIRES_ABOVE, Verdict
from aiohooks.monitors.ood.model import OODModel
from aiohooks.monitors.ood.watching import scoring_threads
from aiohooks.prediction import Prediction

Share = Annotated[float, Meta(gt=0, lt=1)]


class OODTrigger(Combinable, msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True, dict=True):
    """Fires on frames that are out of distribution; the score is that of the OOD model, in 0–1, near 1 out of distribution.

    Frames are scored as they come, on the event loop if that takes less than a millisecond, else in a worker thread. A hook with it can be
    saved where the model is in a file; `Deployment.save` writes the model that the trigger uses into the folder, whatever the file holds by then.

    Attributes:
        ood_model: an `OODModel`, or the file of one, which is read at once; a relative path becomes absolute.
        false_alarm_rate: share of in-distribution frames that it may fire on, such as 0.01.
        threshold: fires above this score, below 1, instead; by default 0.5, which is a false-alarm rate of 0.05.

    Raises:
        SpecError: both a rate and a threshold are given, or the model was calibrated on too few pictures for the rate, or for that of the
            threshold.
        LoadError: the file is not there, or is not that of an OOD model.
    """

    ood_model: Any
    false_alarm_rate: Share | None = None
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None

    file_fields: ClassVar[tuple[str, ...]] = ("ood_model",)

    def __post_init__(self) -> None:
        check_fields(self)
        given = self.ood_model
        if isinstance(given, (str, os.PathLike)):
            msgspec.structs.force_setattr(self, "ood_model", found(os.fspath(given)))
        elif not isinstance(given, OODModel):
            raise SpecError(
                f"OODTrigger.ood_model: expected an OODModel or the file of one, got {type(given).__name__}"
            )
        if self.false_alarm_rate is not None:
            if self.threshold is not None:
                raise SpecError(
                    "OODTrigger: false_alarm_rate and threshold are two ways to say the same; give one of them"
                )
            self.model.check_rate(self.false_alarm_rate)
        elif self.threshold is not None:
            self._check_threshold(self.threshold)
        self.model  # noqa: B018  # a file that cannot be read is an error now, not at the first frame

    def _check_threshold(self, threshold: float) -> None:
        if threshold == 1:
            raise SpecError(
                "OODTrigger.threshold: no score is above 1, so that it would never fire; give a smaller one"
            )
        rate = self.model.p_value_at(threshold)
        if rate >= 1:
            return
        try:
            self.model.check_rate(rate)
        except SpecError as error:
            raise SpecError(
                f"OODTrigger.threshold: {threshold:g} is a false-alarm rate of {rate:.2g}: {error}"
            ) from None

    @cached_property
    def model(self) -> OODModel:
        """The OOD model."""
        return self.ood_model if isinstance(self.ood_model, OODModel) else OODModel.load(Path(self.ood_model))

    @property
    def evaluate(self) -> Any:
        """``evaluate(frame, prediction)`` gives the verdict without waiting.

        Raises:
            AttributeError: that would take too long, so it can only be awaited.
        """
        if not self.model.is_quick:
            raise AttributeError("OODTrigger can only be awaited, because its model takes more than a millisecond")
        return self._evaluate

    def saved_file(self, _field: str, /) -> SavedFile:
        """Return the model as a file."""
        return self.model.file()

    def attached(self, model: Any, /) -> None:
        """Check that a model gives the features that the OOD model was fitted on.

        Raises:
            SpecError: it does not.
        """
        self.model.attached(model)

    async def __call__(self, frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        if self.model.is_quick:
            return self._evaluate(frame, prediction)
        return await anyio.to_thread.run_sync(self._evaluate, frame, prediction, limiter=scoring_threads())

    def _evaluate(self, _frame: Frame, prediction: Prediction, /) -> Verdict:
        p_value = self.model.p_value_of(prediction)
        score = self.model.score_at(p_value)
        if self.false_alarm_rate is not None:
            return Verdict(p_value <= self.false_alarm_rate, score)
        return Verdict(score > (FIRES_ABOVE if self.threshold is None else self.threshold), score)
