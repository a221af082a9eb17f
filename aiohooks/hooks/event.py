"""What an action receives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohooks.frame import Frame
from aiohooks.prediction import Prediction


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class HookEvent:
    """A frame on which a trigger fired.

    Attributes:
        frame: the picture, as it was when it was inferred.
        prediction: what the model found in it.
        score: what the trigger measured.
        scores: for a combination of triggers, the score of each part by the part's name.
        hook: name of the hook; may be empty.
        triggered_at: when the trigger fired, an aware datetime in UTC.
        key: the same for all attempts to deliver the event, if its hook has a ``delivery``; else empty.
    """

    frame: Frame
    prediction: Prediction
    score: float = 1.0
    scores: Mapping[str, float] = field(default_factory=dict)
    hook: str = ""
    triggered_at: datetime = field(default_factory=_now)
    key: str = ""
