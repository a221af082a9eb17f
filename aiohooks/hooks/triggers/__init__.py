"""Triggers decide, frame by frame, whether a hook acts."""

from aiohooks.hooks.triggers.always import AlwaysTrigger
from aiohooks.hooks.triggers.combination import AllOf, AnyOf, Combinable, Not, introduce, named_labels
from aiohooks.hooks.triggers.confidence import ConfidenceTrigger
from aiohooks.hooks.triggers.empty_label import EmptyLabelTrigger
from aiohooks.hooks.triggers.label import LabelTrigger
from aiohooks.hooks.triggers.object_count import ObjectCountTrigger
from aiohooks.hooks.triggers.sync_trigger import SyncTrigger
from aiohooks.hooks.triggers.trigger import Trigger, ask

__all__ = [
    "AllOf",
    "AlwaysTrigger",
    "AnyOf",
    "Combinable",
    "ConfidenceTrigger",
    "EmptyLabelTrigger",
    "LabelTrigger",
    "Not",
    "ObjectCountTrigger",
    "SyncTrigger",
    "Trigger",
    "ask",
    "introduce",
    "named_labels",
]
