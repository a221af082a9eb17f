"""Parameters of Model API's wrappers: thresholds, resizing, normalisation."""

import copy
import threading
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from model_api.models import YOLOv5
from model_api.models.parameters import ParameterRegistry
from model_api.models.types import BaseValue, BooleanValue, ListValue, NumericalValue

from aiohooks.errors import LoadError
from aiohooks.inference.tiling import Tiling

# What the conversion relies on, whatever the metadata says.
_FIXED = {"return_soft_prediction": True, "postprocess_semantic_masks": True, "output_raw_scores": False}

TILE_PARAMETERS = frozenset({"tile_size", "tiles_overlap", "tile_with_full_img", "max_pred_number"})
"""Parameters of Model API's tilers that no wrapper has."""

# All wrappers share the same parameter objects, and some write their own defaults into them: after a YOLO was loaded, a
# classifier would swap its channels. So the defaults are kept as they were, and every wrapper is told all of its own.
_DEFAULTS = [
    (parameter, parameter.default_value)
    for group in vars(ParameterRegistry).values()
    if isinstance(group, dict)
    for parameter in group.values()
    if isinstance(parameter, BaseValue)
]
defaults_lock = threading.RLock()
"""Held while defaults are read and while a wrapper is made, which writes them."""


def known_parameters(cls: type[Any]) -> dict[str, Any]:
    """Return the parameters of a wrapper with its own defaults."""
    with defaults_lock:
        for parameter, default in _DEFAULTS:
            parameter.update_default_value(default)
        return copy.deepcopy(dict(cls.parameters()))


def configuration(cls: type[Any], given: Mapping[str, Any], info: Mapping[str, str]) -> dict[str, Any]:
    """Return all parameters of a wrapper that its model's metadata does not set, or that the user sets.

    Text (from a command line) is parsed as in metadata.

    Raises:
        LoadError: a parameter is unknown or has a wrong value, given or in the metadata; the message says which.
    """
    known = known_parameters(cls)
    for name in known.keys() & info.keys():
        _stated(name, info, known)
    converted = {name: _checked(cls.__model__, name, value, known) for name, value in given.items()}
    defaults = {
        name: parameter.default_value
        for name, parameter in known.items()
        if name not in info and name != "labels" and parameter.default_value is not None
    }
    if issubclass(cls, YOLOv5):
        # This family and its exports count on BGR pictures to be reversed; a frame is RGB, as they were trained.
        defaults["reverse_input_channels"] = False
    fixed = {name: value for name, value in _FIXED.items() if name in known}
    return defaults | converted | fixed


def tiling(given: Mapping[str, Any], info: Mapping[str, str]) -> Tiling | None:
    """Return which tiles are given, or else set in the metadata; None if there is no ``tile_size``, or it is 0.

    Raises:
        LoadError: a parameter of tiles has a wrong value, given or in the metadata, or is given without a size.
    """
    with defaults_lock:
        known = copy.deepcopy(ParameterRegistry.TILER | ParameterRegistry.DETECTION_TILER)
    stated = {name: _stated(name, info, known) for name in known.keys() & info.keys()}
    asked = {name: _checked("tiles", name, value, known) for name, value in given.items() if name in known}
    values = {name: value for name, value in (stated | asked).items() if value is not None}
    if not values.get("tile_size"):
        for name in asked.keys() & TILE_PARAMETERS - {"tile_size"}:
            raise LoadError(f"parameter {name!r} is about tiles: pass 'tile_size' with it")
        return None
    tiles = Tiling(**values)
    if tiles.step < 1:
        raise LoadError(
            f"tiles of {tiles.tile_size} pixels with tiles_overlap {tiles.tiles_overlap} never reach the end of a picture: "
            "pass an overlap from 0 to below 1, such as 0.5"
        )
    return tiles


def in_effect(wrapper: Any) -> dict[str, Any]:
    """Return the wrapper's parameters that have a value, without the labels."""
    names = known_parameters(type(wrapper)).keys() - {"labels", "path_to_labels"}
    values = {name: wrapper.get_param(name) for name in names}
    return {name: value for name, value in sorted(values.items()) if value not in (None, "", [])}


def is_set(name: str, parameters: Mapping[str, Any], info: Mapping[str, str]) -> bool:
    """Tell whether a yes-or-no parameter is given, or else set in the metadata."""
    return str(parameters.get(name, info.get(name))).lower() in ("true", "yes")


def whole_number(name: str, parameters: Mapping[str, Any], info: Mapping[str, str]) -> int | None:
    """Return a parameter that is given, or else in the metadata.

    Raises:
        LoadError: it is not a whole number.
    """
    value = parameters.get(name, info.get(name))
    if value in (None, "", "None"):
        return None
    try:
        return int(str(value))
    except ValueError as error:
        raise LoadError(f"parameter {name!r} = {value!r}: expected a whole number") from error


def _stated(name: str, info: Mapping[str, str], known: Mapping[str, Any]) -> Any:
    try:
        return known[name].from_str(info[name])
    except ValueError as error:
        raise LoadError(f"{name!r} in the model's metadata is {info[name]!r}: {error}") from error


def _checked(owner: str, name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise LoadError(f"unknown parameter {name!r} for {owner}; there are: {', '.join(sorted(known))}")
    try:
        converted = _converted(known[name], value)
        problems = [str(problem) for problem in known[name].validate(converted)]
    except (ValueError, TypeError) as error:
        problems = [str(error)]
    if problems:
        raise LoadError(f"parameter {name!r} = {value!r}: {'; '.join(problems)} ({known[name].description})")
    return converted


def _converted(parameter: Any, value: Any) -> Any:
    if isinstance(parameter, BooleanValue) and isinstance(value, str):
        if value.lower() not in ("true", "yes", "false", "no"):
            raise ValueError("expected true or false")
        return value.lower() in ("true", "yes")
    if isinstance(parameter, ListValue) and not isinstance(value, str):
        return list(value)
    if isinstance(parameter, NumericalValue) and isinstance(value, str):
        try:
            return parameter.from_str(value)
        except ValueError:
            raise ValueError("expected a number") from None
    if isinstance(parameter, ListValue) and isinstance(value, str):
        if parameter.value_type is str:
            return parameter.from_str(value)
        numbers = parameter.from_str(value.replace(",", " "))
        if any(isinstance(number, str) for number in numbers or ()):
            raise ValueError("expected numbers with spaces between them")
        return numbers
    if isinstance(parameter, NumericalValue) and isinstance(value, int) and not isinstance(value, bool):
        return parameter.value_type(value)
    return str(value) if isinstance(value, PurePath) else value
