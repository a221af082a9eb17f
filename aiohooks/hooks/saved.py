"""Hooks as JSON, and back.

    {"version": 1, "hooks": [{
        "trigger": {"type": "AllOf", "parts": [
            {"type": "LabelTrigger", "label_names": ["dog"]},
            {"type": "Not", "part": {"type": "ConfidenceTrigger"}}]},
        "action": {"type": "FileSystemDataCollection", "target_folder": "dogs"},
        "rate": {"count": 1, "per": 2.0},
        "delivery": {"spool": {"type": "Spool", "folder": "dogs_to_deliver"}}}]}

Fields with their default value may be left out. A ``type`` is a tag in `aiohooks.hooks.registry`; it names no code.
"""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from aiohooks.atomic_file import write_atomically
from aiohooks.delivery.delivery import Delivery, StoreSettings
from aiohooks.errors import SpecError
from aiohooks.fields import fitted
from aiohooks.hooks.actions import Action
from aiohooks.hooks.geti_hook_config import hooks_from_geti, is_geti_hook_config
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.named_files import beside, named, saved_files
from aiohooks.hooks.plain_data import at, known_object, struct_from_data, tagged_from_data, whole_document
from aiohooks.hooks.registry import ACTIONS, STORES, TRIGGERS, Registry
from aiohooks.hooks.triggers import Trigger
from aiohooks.rate import Rate

logger = logging.getLogger("aiohooks.hooks")

VERSION = 1
"""Version of the form that is written, and the only one that is read."""


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
    with whole_document():
        return _hooks_from_document(data)


def save_hooks(path: str | os.PathLike[str], hooks: Iterable[PostInferenceHook]) -> None:
    """Write hooks to a JSON file, which is replaced as a whole or not at all. Blocks.

    Files that a trigger names, such as an OOD model, are named by their way from there.

    Raises:
        SpecError: a hook cannot be saved, or a file that it names has been replaced or removed since it was read; nothing is written.
        OSError: the file cannot be written.
    """
    hooks = tuple(hooks)
    with beside(path):
        data = hooks_to_json(hooks)
    for i, hook in enumerate(hooks):
        for file in saved_files(hook.trigger):
            if not file.is_there():
                raise SpecError(
                    f"$.hooks[{i}].trigger: {file.path} no longer holds what this hook has read from it, and would give others something "
                    "else: make the hook anew, or save its model to another file"
                )
    write_atomically(Path(path), json_file(data))


def load_hooks(path: str | os.PathLike[str]) -> tuple[PostInferenceHook, ...]:
    """Read hooks from a JSON file: one that `save_hooks` wrote, or a ``hook_config.json`` of geti-sdk. Blocks.

    Secrets in a file of geti-sdk are not taken over: a warning names the environment variable that they belong in.

    Raises:
        SpecError: the file cannot be read or something in it is wrong; the message names file and spot.
    """
    name = os.fspath(path)
    try:
        data = json.loads(Path(path).read_bytes())
        _check(data)
        with beside(path):
            if not is_geti_hook_config(data, Path(path).name):
                return hooks_from_json(data)
            hooks, notes = hooks_from_geti(data)
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from error.__cause__
    except json.JSONDecodeError as error:
        raise SpecError(f"{name}: line {error.lineno}, column {error.colno}: {error.msg}; it is no JSON") from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{name}: cannot be read: {error}") from error
    for note in notes:
        logger.warning("%s: %s", name, note)
    return hooks


def _check(data: object) -> None:
    if isinstance(data, list):
        raise SpecError(
            'it must be an object such as {"version": 1, "hooks": […]}, as save_hooks writes it, not a list'
        )


def json_file(data: dict[str, Any]) -> bytes:
    """Return the content of a JSON file for people to read."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"


def _fields_to_data(struct: msgspec.Struct, path: str, registry: Registry | None) -> dict[str, Any]:
    """Return the fields that have not their default; ``registry`` knows what is callable among them."""
    data = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.name in getattr(struct, "file_fields", ()):
            value = _named(value)
        if field.required or value != field.default:
            own = {"trigger": TRIGGERS, "action": ACTIONS, "spool": STORES}.get(field.name, registry)
            data[field.encode_name] = _to_data(value, f"{path}.{field.encode_name}", own)
    return data


def _named(value: Any) -> Any:
    """Return how a file is named that is given by its path or, as an OOD model, by what knows its path."""
    path = getattr(value, "path", value)
    return named(path) if isinstance(path, (str, os.PathLike)) else value


def _to_data(value: Any, path: str, registry: Registry | None) -> Any:
    if isinstance(value, tuple | list):
        return [_to_data(item, f"{path}[{i}]", registry) for i, item in enumerate(value)]
    try:
        is_tagged = callable(value) or (registry is STORES and isinstance(value, StoreSettings))
        tag = {"type": registry.tag_of(value)} if is_tagged and registry is not None else {}
        plain = {} if isinstance(value, msgspec.Struct) else msgspec.to_builtins(value)
    except (SpecError, TypeError) as error:
        hint = "; save it to a file, and give the hook its path" if hasattr(value, "save") else ""
        raise SpecError(f"{path}: {error}{hint}") from error.__cause__
    return tag | _fields_to_data(value, path, registry) if isinstance(value, msgspec.Struct) else plain


def _hooks_from_document(data: object) -> tuple[PostInferenceHook, ...]:
    document = known_object(data, known=["version", "hooks"], required=["version", "hooks"])
    with at(".version"):
        version = fitted(document["version"], int)
        if version != VERSION:
            raise SpecError(f"Expected {VERSION}, got {version}: another version of aiohooks wrote this")
    with at(".hooks"):
        items = fitted(document["hooks"], list[Any])
    hooks = []
    for i, item in enumerate(items):
        with at(f".hooks[{i}]"):
            hooks.append(struct_from_data(item, PostInferenceHook, _hook_field))
    return tuple(hooks)


def _hook_field(name: str, value: object, annotation: Any) -> Any:
    match name:
        case "trigger":
            return tagged_from_data(Trigger, value)
        case "action":
            return tagged_from_data(Action, value)
        case "rate" if value is not None:
            return struct_from_data(value, Rate)
        case "delivery" if value is not None:
            return struct_from_data(value, Delivery, _delivery_field)
        case _:
            return fitted(value, annotation)


def _delivery_field(name: str, value: object, annotation: Any) -> Any:
    match name:
        case "spool":
            return tagged_from_data(StoreSettings, value)
        case "rate" if value is not None:
            return struct_from_data(value, Rate)
        case _:
            return fitted(value, annotation)
