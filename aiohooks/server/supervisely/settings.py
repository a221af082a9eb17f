"""Inference settings: what a client may ask of the predictions it gets."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiohooks.annotation import Label
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.prediction import Prediction
from aiohooks.server.refusal import Refusal
from aiohooks.server.supervisely.state import State, shown

_CONFIDENCE = ("conf", "confidence", "confidence_threshold", "conf_thres", "conf_threshold")


class Settings(NamedTuple):
    """What a client wants to see of a prediction.

    Attributes:
        min_score: lowest score, in 0–1.
        classes: names of labels; None for all.
    """

    min_score: float | None = None
    classes: frozenset[str] | None = None

    def apply(self, prediction: Prediction) -> Prediction:
        """Return what is wanted of a prediction."""
        return prediction.filter(labels=self.classes, min_score=self.min_score)


def default_settings(description: ModelDescription) -> dict[str, Any]:
    """Return the settings that there are, with the values that a request without any gets.

    A score below the model's own threshold brings nothing more.
    """
    threshold = description.parameters.get("confidence_threshold")
    return {"conf": float(threshold) if isinstance(threshold, int | float) else 0.0, "classes": None}


def read_settings(state: State, labels: Sequence[Label]) -> Settings:
    """Return the settings in a state; unknown ones are ignored, as Supervisely's SDK sends all it was called with.

    Raises:
        Refusal: 400, a value is not what it should be.
    """
    settings = state.get("settings")
    if settings is None:
        return Settings()
    if not isinstance(settings, Mapping):
        raise Refusal(400, f"settings: expected an object, got {shown(settings)}")
    return Settings(_min_score(settings), _classes(settings.get("classes"), labels))


def _min_score(settings: Mapping[str, Any]) -> float | None:
    for name in _CONFIDENCE:
        value = settings.get(name)
        if value is not None:
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
                raise Refusal(400, f"settings.{name}: expected a number in 0–1, got {shown(value)}")
            return float(value)
    return None


def _classes(value: object, labels: Sequence[Label]) -> frozenset[str] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal(400, f"settings.classes: expected a list of names, got {shown(value)}")
    known = {label.name for label in labels}
    if unknown := [name for name in names if name not in known]:
        there = ", ".join(sorted(known)[:50])
        raise Refusal(400, f"settings.classes: {shown(unknown[0])} is not a class of this model; there are: {there}")
    return frozenset(names)
