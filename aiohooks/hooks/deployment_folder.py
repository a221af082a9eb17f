"""Hooks that travel in the folder of a deployment, beside its ``project.json``.

``aiohooks.json`` holds all of them. ``hook_config.json``, the file of geti-sdk, holds those that it can have, and is read only where the
other is missing. Files that a trigger names in one of its ``file_fields``, such as an OOD model, travel with them.
"""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiohooks.hooks import geti_hook_config
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.registry import TRIGGERS
from aiohooks.hooks.saved import hooks_to_json, json_file, load_hooks

logger = logging.getLogger("aiohooks.hooks")

OWN_FILE = "aiohooks.json"
GETI_FILE = geti_hook_config.FILE_NAME


class FolderHooks(NamedTuple):
    """The hooks of a folder.

    Attributes:
        path: the file that they were read from.
        hooks: in its order.
    """

    path: Path
    hooks: tuple[PostInferenceHook, ...]


def hook_file(folder: Path) -> Path | None:
    """Return the file that holds the hooks of a folder; None if there is none."""
    return next((path for path in (folder / OWN_FILE, folder / GETI_FILE) if path.exists()), None)


def load_folder_hooks(folder: Path) -> FolderHooks | None:
    """Read the hooks in a folder; None if it has none. Blocks, and makes no network call.

    Raises:
        SpecError: the file cannot be read or something in it is wrong; the message names file and spot.
    """
    path = hook_file(folder)
    return None if path is None else FolderHooks(path, load_hooks(path))


def hook_files(hooks: Sequence[PostInferenceHook]) -> dict[str, bytes | Path | None]:
    """Return what the files of a folder are to hold, by their names: bytes, or what another file does; None for one that is not to be there.

    What geti-sdk cannot have is logged with the reason.

    Raises:
        SpecError: a trigger or an action is plain code or is not registered; the message names the spot.
    """
    files: dict[str, bytes | Path | None] = {}
    data = hooks_to_json(hooks)
    for hook in data["hooks"]:
        _take_files(hook["trigger"], files)
    own = json_file(data) if hooks else None
    for_geti, left_out = geti_hook_config.hooks_to_geti(hooks)
    for hook, reason in left_out:
        logger.info("hook %s is not in %s: %s; %s has it", hook, GETI_FILE, reason, OWN_FILE)
    return {OWN_FILE: own, GETI_FILE: json_file(for_geti) if len(left_out) < len(hooks) else None} | files


def _take_files(trigger: dict[str, Any], files: dict[str, bytes | Path | None]) -> None:
    """Note the files of a saved trigger, and have it name them as they are called in the folder."""
    for part in (*trigger.get("parts", ()), *([trigger["part"]] if "part" in trigger else [])):
        _take_files(part, files)
    for field in getattr(TRIGGERS.find(trigger["type"]), "file_fields", ()):
        if field in trigger:
            path = Path(trigger[field])
            trigger[field] = _name_for(path, files)
            files[trigger[field]] = path


def _name_for(path: Path, files: dict[str, bytes | Path | None]) -> str:
    for number in itertools.count(1):
        name = path.name if number == 1 else f"{path.stem}_{number}{path.suffix}"
        if files.get(name, path) == path and name not in (OWN_FILE, GETI_FILE):
            return name
    raise AssertionError  # numbers do not end
