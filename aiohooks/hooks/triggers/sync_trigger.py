"""The common part of triggers that can answer without waiting."""

import msgspec

from aiohooks.fields import check_fields
from aiohooks.frame import Frame
from aiohooks.hooks.triggers.combination import Combinable
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction


class SyncTrigger(Combinable, msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A trigger that answers without waiting, in well under a millisecond. Subclasses write `evaluate`.

    Fields are checked against their annotations when it is made.

    Raises:
        SpecError: a field does not fit its annotation.
    """

    def __post_init__(self) -> None:
        check_fields(self)

    def evaluate(self, frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        raise NotImplementedError(f"{type(self).__name__} must have `evaluate(self, frame, prediction)`")

    async def __call__(self, frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        return self.evaluate(frame, prediction)
