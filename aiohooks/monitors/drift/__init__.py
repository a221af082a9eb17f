"""Whether a stream of pictures has left what it was."""

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_actions import AlertWebhook, LogAlert
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.counts import DriftCounts
from aiohooks.monitors.drift.decision import MeasureResult, WindowDecision
from aiohooks.monitors.drift.event import DriftEvent
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.ingest import EventColumns
from aiohooks.monitors.drift.insights import (
    ClassDrift,
    MovedDirection,
    NumberDrift,
    class_drift,
    contributions,
    mean_probabilities,
    moved_directions,
    number_drift,
)
from aiohooks.monitors.drift.monitor import DriftMonitor
from aiohooks.monitors.drift.report import DriftReport
from aiohooks.monitors.drift.retention import DriftRetention
from aiohooks.monitors.drift.rule import DriftRule
from aiohooks.monitors.drift.share import send_changes, take_changes
from aiohooks.monitors.drift.summary import WindowSummary, merge
from aiohooks.monitors.drift.trigger import DriftTrigger
from aiohooks.monitors.drift.window import Window, WindowKey

__all__ = [
    "AlertWebhook",
    "ClassDrift",
    "DriftAlert",
    "DriftBaseline",
    "DriftCounts",
    "DriftEvent",
    "DriftMonitor",
    "DriftReport",
    "DriftRetention",
    "DriftRule",
    "DriftTrigger",
    "EventArrays",
    "EventColumns",
    "LogAlert",
    "MeasureResult",
    "MovedDirection",
    "NumberDrift",
    "Window",
    "WindowDecision",
    "WindowKey",
    "WindowSummary",
    "class_drift",
    "contributions",
    "mean_probabilities",
    "merge",
    "moved_directions",
    "number_drift",
    "send_changes",
    "take_changes",
]
