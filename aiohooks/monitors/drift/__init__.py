"""Whether a stream of pictures has left what it was."""

from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.decision import MeasureResult, WindowDecision
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.insights import (
    ClassDrift,
    MovedDirection,
    class_drift,
    contributions,
    mean_probabilities,
    moved_directions,
)
from aiohooks.monitors.drift.summary import WindowSummary, merge

__all__ = [
    "ClassDrift",
    "DriftBaseline",
    "EventArrays",
    "MeasureResult",
    "MovedDirection",
    "WindowDecision",
    "WindowSummary",
    "class_drift",
    "contributions",
    "mean_probabilities",
    "merge",
    "moved_directions",
]
