"""Fields of decoded JSON, checked where they are taken out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiohooks.errors import SpecError

_LARGEST = 1e9


def object_at(data: object, path: str) -> Mapping[str, Any]:
    """Return the data if it is an object.

    Raises:
        SpecError: it is none; the message starts with the path to the spot.
    """
    if isinstance(data, Mapping):
        return data
    raise SpecError(f"{path or 'prediction'}: expected an object, got {type(data).__name__}")


def list_at(data: object, path: str) -> Sequence[Any]:
    """Return the data if it is a list.

    Raises:
        SpecError: it is none.
    """
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return data
    raise SpecError(f"{path}: expected a list, got {type(data).__name__}")


def get(item: Mapping[str, Any], key: str, path: str) -> Any:
    """Return the value of a key.

    Raises:
        SpecError: it is missing.
    """
    if key in item:
        return item[key]
    raise SpecError(f"{path}.{key}: is missing".removeprefix("."))


def text_at(item: Mapping[str, Any], key: str, path: str) -> str:
    """Return a text.

    Raises:
        SpecError: it is missing or something else.
    """
    value = get(item, key, path)
    if isinstance(value, str):
        return value
    raise SpecError(f"{path}.{key}: expected a string, got {value!r}".removeprefix("."))


def number(value: object, path: str) -> float:
    """Return a number as a float.

    Raises:
        SpecError: it is none, or too large for any picture.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and -_LARGEST <= value <= _LARGEST:  # type: ignore[operator]  # it is a number
        return float(value)  # type: ignore[arg-type]
    raise SpecError(f"{path}: expected a number of at most {_LARGEST:g}, got {value!r}")


def real_at(item: Mapping[str, Any], key: str, path: str) -> float:
    """Return the number of a key.

    Raises:
        SpecError: it is missing, no number, or too large for any picture.
    """
    return number(get(item, key, path), f"{path}.{key}")
