"""The hooks that are saved in the folder of a deployment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiohooks.hooks.deployment_folder import hook_file
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.inference.geti_folder import find_project


def saved_hook_file(model: str) -> Path | None:
    """Return the file with the hooks that are saved with a model; None if there is none, as with a model file.

    Raises:
        LoadError: it is a folder, but not that of a deployment.
    """
    return hook_file(find_project(model)) if Path(model).is_dir() else None


def hook_lines(hooks: Sequence[PostInferenceHook]) -> list[str]:
    """Return four lines about each hook: what it is called, when it does what, and within which limits."""
    return [line for hook in hooks for line in _lines(hook)]


def _lines(hook: PostInferenceHook) -> list[str]:
    limits = f"{hook.max_concurrency} at once, {hook.max_pending} may wait, then {hook.overflow.replace('_', ' ')}"
    if hook.rate is not None:
        limits += f"; at most {hook.rate.count} in {hook.rate.per:g} s"
    return [hook.title, f"  when {_call(hook.trigger)}", f"  do {_call(hook.action)}", f"  {limits}"]


def _call(value: Any) -> str:
    """Write a trigger or an action as code that makes it, without what is left at its default."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_call, value))}]"
    if not isinstance(value, msgspec.Struct):
        return repr(value)
    told = []
    for field in msgspec.structs.fields(value):
        given = getattr(value, field.name)
        if field.required or given != field.default:
            told.append(f"{field.name}={_call(given)}")
    return f"{type(value).__name__}({', '.join(told)})"
