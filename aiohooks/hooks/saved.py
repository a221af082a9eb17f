"""Hooks as JSON, and back.

    {"version": 1, "hooks": [{
        "trigger": {"type": "AllOf", "parts": [
            {"type": "LabelTrigger", "label_names": ["dog"]},
            {"type": "Not", "part": {"type": "ConfidenceTrigger"}}]},
        "action": {"type": "FileSystemDataCollection", "target_folder": "dogs"},
        "rate": {"count": 1, "per": 2.0}}]}

Fields with their default value may be left out. A ``type`` is a tag in `aiohooks.hooks.registry`; it names no code.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from aiohooks.errors import SpecError
from aiohooks.hooks.actions import Action
from aiohooks.hooks.atomic_file import write_atomically
from aiohooks.hooks.fields import FieldError, fitted
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.rate import Rate
from aiohooks.hooks.registry import ACTIONS, TRIGGERS, Registry
from aiohooks.hooks.triggers import Trigger

VERSION = 1
"""Version of the form that is written, and the only one that is read."""

S = TypeVar("S", bound=msgspec.Struct)


def hooks_to_json(hooks: Iterable[PostInferenceHook]) -> dict[str, Any]:
    """Return hooks as plain data for JSON. It holds no secrets: actions only name environment variables.

    Raises:
        SpecError: a trigger or an action is plain code or is not registered; the message names the spot.
    """
    return {"version": VERSION, "hooks": [_fields_to_data(hook, f"$.hooks[{i}]", None) for i, hook in enumerate(hooks)]}


def hooks_from_json(data: object) -> tuple[PostInferenceHook, ...]:
    """Return the hooks that `hooks_to_json` made the data of. Imports packages whose triggers or actions are named.

    Args:
        data: decoded JSON.

    Raises:
        SpecError: something in it is wrong; the message names the spot, such as ``$.hooks[0].trigger.threshold``.
    """
    try:
        with _at(""):
            return _hooks_from_document(data)
    except FieldError as error:
        raise SpecError(f"${error.path}: {error.problem}") from error.__cause__
    except RecursionError:
        raise SpecError("$: nested too deeply") from None


def save_hooks(path: str | os.PathLike[str], hooks: Iterable[PostInferenceHook]) -> None:
    """Write hooks to a JSON file, which is replaced as a whole or not at all. Blocks.

    Raises:
        SpecError: a hook cannot be saved; nothing is written.
        OSError: the file cannot be written.
    """
    text = msgspec.json.encode(hooks_to_json(hooks))
    write_atomically(Path(path), msgspec.json.format(text, indent=2) + b"\n")


def load_hooks(path: str | os.PathLike[str]) -> tuple[PostInferenceHook, ...]:
    """Read hooks from a JSON file. Blocks.

    Raises:
        SpecError: the file cannot be read or something in it is wrong; the message names file and spot.
    """
    name = os.fspath(path)
    try:
        return hooks_from_json(json.loads(Path(path).read_bytes()))
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from error.__cause__
    except json.JSONDecodeError as error:
        raise SpecError(f"{name}: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{name}: cannot be read: {error}") from error


def _fields_to_data(struct: msgspec.Struct, path: str, registry: Registry | None) -> dict[str, Any]:
    """Return the fields that have not their default; ``registry`` knows what is callable among them."""
    data = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.required or value != field.default:
            own = {"trigger": TRIGGERS, "action": ACTIONS}.get(field.name, registry)
            data[field.encode_name] = _to_data(value, f"{path}.{field.encode_name}", own)
    return data


def _to_data(value: Any, path: str, registry: Registry | None) -> Any:
    if isinstance(value, tuple | list):
        return [_to_data(item, f"{path}[{i}]", registry) for i, item in enumerate(value)]
    try:
        tag = {"type": registry.tag_of(value)} if callable(value) and registry is not None else {}
        plain = {} if isinstance(value, msgspec.Struct) else msgspec.to_builtins(value)
    except (SpecError, TypeError) as error:
        raise SpecError(f"{path}: {error}") from error.__cause__
    return tag | _fields_to_data(value, path, registry) if isinstance(value, msgspec.Struct) else plain


@contextmanager
def _at(step: str) -> Iterator[None]:
    """Put a step before the paths of errors."""
    try:
        yield
    except FieldError as error:
        raise FieldError(step + error.path, error.problem) from error.__cause__
    except SpecError as error:
        raise FieldError(step, str(error)) from error.__cause__


def _hooks_from_document(data: object) -> tuple[PostInferenceHook, ...]:
    document = _object(data, known=["version", "hooks"], required=["version", "hooks"])
    with _at(".version"):
        version = fitted(document["version"], int)
        if version != VERSION:
            raise SpecError(f"Expected {VERSION}, got {version}: another version of aiohooks wrote this")
    with _at(".hooks"):
        items = fitted(document["hooks"], list[Any])
    hooks = []
    for i, item in enumerate(items):
        with _at(f".hooks[{i}]"):
            hooks.append(_struct_from_data(item, PostInferenceHook, _hook_field))
    return tuple(hooks)


def _hook_field(name: str, value: object, annotation: Any) -> Any:
    match name:
        case "trigger":
            return _tagged_from_data(Trigger, value)
        case "action":
            return _tagged_from_data(Action, value)
        case "rate" if value is not None:
            return _struct_from_data(value, Rate)
        case _:
            return fitted(value, annotation)


def _field(_name: str, value: object, annotation: Any) -> Any:
    return fitted(value, annotation, dec_hook=_tagged_from_data)


def _struct_from_data(data: object, cls: type[S], read: Callable[[str, object, Any], Any] = _field) -> S:
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    given = _object(data, known=fields, required=[name for name, field in fields.items() if field.required])
    values = {}
    for name, value in given.items():
        with _at(f".{name}"):
            values[fields[name].name] = read(fields[name].name, value, fields[name].type)
    try:
        return cls(**values)
    except SpecError:
        raise
    except Exception as error:  # a class of another package may raise anything
        raise SpecError(f"{cls.__name__}: {error}") from error


def _tagged_from_data(annotation: Any, value: object) -> Any:
    """Make a trigger or an action; msgspec calls this for types that it does not know itself."""
    with _at(""):  # of the errors raised here, msgspec gives a path only to a FieldError
        if annotation is not Trigger and annotation is not Action:
            raise SpecError(f"a field of type {annotation} cannot be read from JSON")
        registry = TRIGGERS if annotation is Trigger else ACTIONS
        fields = fitted(value, dict[str, Any])
        if "type" not in fields:
            raise SpecError(f"the field 'type' is missing; it names the {registry.kind}")
        with _at(".type"):
            cls = registry.find(fitted(fields["type"], str))
        return _struct_from_data({name: field for name, field in fields.items() if name != "type"}, cls)


def _object(data: object, *, known: Iterable[str], required: Iterable[str]) -> dict[str, Any]:
    """Return the data if it is an object with known fields."""
    found: dict[str, Any] = fitted(data, dict[str, Any])
    for name in found:
        if name not in known:
            raise SpecError(f"unknown field {name!r}; known are {', '.join(known)}")
    for name in required:
        if name not in found:
            raise SpecError(f"the field {name!r} is missing")
    return found
