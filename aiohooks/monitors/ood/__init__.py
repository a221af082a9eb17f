"""Whether a model has seen the like of a frame before."""

from aiohooks.monitors.ood.explanation import MeasureExplanation, Neighbour, OODExplanation
from aiohooks.monitors.ood.model import OODModel
from aiohooks.monitors.ood.objects import object_crops
from aiohooks.monitors.ood.trigger import OODTrigger

__all__ = ["MeasureExplanation", "Neighbour", "OODExplanation", "OODModel", "OODTrigger", "object_crops"]
