"""What a model found in one frame."""

from aiohooks.prediction.prediction import Prediction
from aiohooks.prediction.task import Task

__all__ = ["Prediction", "Task"]
