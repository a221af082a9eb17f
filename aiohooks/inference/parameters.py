"""Parameters of Model API's wrappers: thresholds, resizing, normalisation."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from model_api.models.types import BooleanValue, ListValue, NumericalValue

from aiohooks.errors import LoadError


def checked(cls: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's parameters as the wrapper takes them; text (from a command line) is parsed as in metadata.

    Raises:
        LoadError: a parameter is unknown or has a wrong value; the message says what there is.
    """
    known = cls.parameters()
    converted = {}
    for name, value in given.items():
        if name not in known:
            raise LoadError(f"unknown parameter {name!r} for {cls.__model__}; there are: {', '.join(sorted(known))}")
        try:
            converted[name] = _converted(known[name], value)
            problems = [str(problem) for problem in known[name].validate(converted[name])]
        except (ValueError, TypeError) as error:
            problems = [str(error)]
        if problems:
            raise LoadError(f"parameter {name!r} = {value!r}: {'; '.join(problems)} ({known[name].description})")
    return converted


def in_effect(wrapper: Any) -> dict[str, Any]:
    """Return the wrapper's parameters that have a value, without the labels."""
    values = {
        name: wrapper.get_param(name) for name in wrapper.parameters() if name not in ("labels", "path_to_labels")
    }
    return {name: value for name, value in sorted(values.items()) if value not in (None, "", [])}


def is_set(name: str, parameters: Mapping[str, Any], info: Mapping[str, str]) -> bool:
    """Tell whether a yes-or-no parameter is given, or else set in the metadata."""
    return str(parameters.get(name, info.get(name))) in ("True", "YES")


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


def _converted(parameter: Any, value: Any) -> Any:
    if isinstance(parameter, BooleanValue) and isinstance(value, str):
        if value.lower() not in ("true", "yes", "false", "no"):
            raise ValueError("expected true or false")
        return value.lower() in ("true", "yes")
    if isinstance(parameter, ListValue) and not isinstance(value, str):
        return list(value)
    if isinstance(parameter, NumericalValue | ListValue) and isinstance(value, str):
        return parameter.from_str(value)
    if isinstance(parameter, NumericalValue) and isinstance(value, int) and not isinstance(value, bool):
        return parameter.value_type(value)
    return str(value) if isinstance(value, PurePath) else value
