"""Hooks that travel in the folder of a deployment, beside its ``project.json``.

``aiohooks.json`` holds all of them. ``hook_config.json``, the file of geti-sdk, holds those that it can have, and is read only where the
other is missing.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aiohooks.hooks import geti_hook_config
from aiohooks.hooks.hook import PostInferenceHook
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


def hook_files(hooks: Sequence[PostInferenceHook]) -> dict[str, bytes | None]:
    """Return what the files of a folder are to hold, by their names; None for a file that is not to be there.

    What geti-sdk cannot have is logged with the reason.

    Raises:
        SpecError: a trigger or an action is plain code or is not registered; the message names the spot.
    """
    own = json_file(hooks_to_json(hooks)) if hooks else None
    for_geti, left_out = geti_hook_config.hooks_to_geti(hooks)
    for hook, reason in left_out:
        logger.info("hook %s is not in %s: %s; %s has it", hook, GETI_FILE, reason, OWN_FILE)
    return {OWN_FILE: own, GETI_FILE: json_file(for_geti) if len(left_out) < len(hooks) else None}
