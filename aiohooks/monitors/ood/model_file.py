"""The parts of an OOD model as a file of arrays.

Every part is a dataclass of arrays, numbers and other parts. ``fields["parts"]`` holds one entry for each,
``[type, {field: value}]``, parts before those that use them; a value is a number, a truth value, None, ``["array",
name]`` or ``["part", its number]``. Types are looked up by name among those of the package; nothing is imported.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiohooks.array_file import read_arrays, write_arrays
from aiohooks.errors import LoadError

KIND = "an OOD model"
VERSION = 1

Entry = list[Any]
Types = Mapping[str, Callable[..., Any]]


def write_parts(path: Path | str, root: object, facts: Mapping[str, Any]) -> int:
    """Write a part with all that it is made of, and plain facts; return the checksum of the file.

    Raises:
        OSError: the file cannot be written.
    """
    parts: list[Entry] = []
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    numbers: dict[int, int] = {}

    def number_of(part: Any) -> int:
        if id(part) not in numbers:
            values = {field.name: plain(getattr(part, field.name)) for field in fields(part)}
            numbers[id(part)] = len(parts)
            for name, value in values.items():
                if isinstance(value, np.ndarray):
                    key = f"{len(parts)}.{name}"
                    arrays[key] = value
                    values[name] = ["array", key]
            parts.append([type(part).__name__, values])
        return numbers[id(part)]

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            return ["part", number_of(value)]
        if isinstance(value, tuple):
            return [plain(each) for each in value]
        return value.item() if isinstance(value, np.generic) else value

    number_of(root)
    return write_arrays(path, kind=KIND, version=VERSION, fields={"parts": parts, "facts": dict(facts)}, arrays=arrays)


def read_parts(path: Path | str, types: Types) -> tuple[Any, dict[str, Any], int]:
    """Return the part and the facts that `write_parts` wrote, and the checksum of the file.

    Args:
        path: of the file.
        types: by their names, all that may be in it.

    Raises:
        LoadError: the file is not there, no OOD model, newer, cut off or damaged.
    """
    file = read_arrays(path, kind=KIND, version=VERSION)
    made: list[Any] = []

    def value_of(value: Any) -> Any:
        match value:
            case ["array", str(name)]:
                return file.arrays[name]
            case ["part", int(number)]:
                return made[number]
            case list():
                return tuple(map(value_of, value))
            case _:
                return value

    try:
        for kind, values in file.fields["parts"]:
            made.append(types[kind](**{name: value_of(value) for name, value in values.items()}))
        return made[-1], file.fields["facts"], file.checksum
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise LoadError(f"{path}: this OOD model cannot be put together: {error!r}; fit it again") from error
