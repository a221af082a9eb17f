"""Whether a model has seen the like of a frame before."""

from aiohooks.monitors.ood.explanation import MeasureExplanation, Neighbour, OODExplanation
from aiohooks.monitors.ood.model import OODModel

__all__ = ["MeasureExplanation", "Neighbour", "OODExplanation", "OODModel"]
