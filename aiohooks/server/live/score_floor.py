"""A lowest score, changed while a deployment is at work."""

from aiohooks.frame import Frame
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.prediction import Prediction


class ScoreFloor:
    """A monitor that leaves out of predictions what has a lower score: hooks, and whoever awaits them, do not see it.

    Attributes:
        min_score: in 0–1.
    """

    def __init__(self, min_score: float) -> None:
        self.min_score = min_score

    def attached(self, _description: ModelDescription, /) -> None:
        """Take any model."""

    async def observe(self, _frame: Frame, prediction: Prediction, /) -> Prediction:
        """Return what is left of a prediction."""
        return prediction.filter(min_score=self.min_score)
