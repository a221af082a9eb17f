"""Hooks that travel in the folder of a deployment, beside its ``project.json``.

``aiohooks.json`` holds all of them. ``hook_config.json``, geti-sdk's file, holds those that geti-sdk can express, and is read only if
the other is missing. Files that a trigger names in one of its ``file_fields``, such as an OOD model, travel with them: copied, or, where the trigger
has a method ``saved_file`` that takes the field, written as the trigger has read them.
"""

import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiohooks.hooks import geti_hook_config
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.named_files import SavedFile
from aiohooks.hooks.saved import hooks_to_json, json_file, load_hooks
from aiohooks.hooks.triggers.combination import parts_of

logger = logging.getLogger("aiohooks.hooks")

Content = bytes | Path | Callable[[Path], object] | None
"""The content of a file: bytes, the path of a file to copy, or a function that writes it; None for a file that is to be removed."""

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


def hook_files(hooks: Sequence[PostInferenceHook]) -> dict[str, Content]:
    """Return the content of the files of a folder, by their names.

    Hooks that geti-sdk cannot express are logged, with the reason.

    Raises:
        SpecError: a trigger or an action is plain code or is not registered; the message names the spot.
    """
    named: dict[str, Path | SavedFile] = {}
    data = hooks_to_json(hooks)
    for travelling, saved in zip(hooks, data["hooks"], strict=True):
        _take_files(travelling.trigger, saved["trigger"], named)
    own = json_file(data) if hooks else None
    for_geti, left_out = geti_hook_config.hooks_to_geti(hooks)
    for hook, reason in left_out:
        logger.info("hook %s is not in %s: %s; %s has it", hook, GETI_FILE, reason, OWN_FILE)
    files: dict[str, Content] = {OWN_FILE: own, GETI_FILE: json_file(for_geti) if len(left_out) < len(hooks) else None}
    return files | {name: file.write if isinstance(file, SavedFile) else file for name, file in named.items()}


def _take_files(trigger: Any, saved: dict[str, Any], files: dict[str, Path | SavedFile]) -> None:
    """Note the files of a trigger, and have what is saved of it name them as they are called in the folder."""
    for part, saved_part in zip(parts_of(trigger), saved.get("parts") or [saved.get("part")], strict=False):
        _take_files(part, saved_part, files)
    for field in getattr(trigger, "file_fields", ()):
        if field in saved:
            path = Path(saved[field])
            file = trigger.saved_file(field) if hasattr(trigger, "saved_file") else path
            saved[field] = _name_for(path, file, files)
            files[saved[field]] = file


def _name_for(path: Path, file: Path | SavedFile, files: dict[str, Path | SavedFile]) -> str:
    for number in itertools.count(1):
        name = path.name if number == 1 else f"{path.stem}_{number}{path.suffix}"
        if files.get(name, file) == file and name not in (OWN_FILE, GETI_FILE):
            return name
    raise AssertionError  # numbers do not end
