"""``aiohooks info``: what a model is and how it runs."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aiohooks.cli.arguments import add_model_arguments, model_arguments
from aiohooks.cli.command import Command
from aiohooks.cli.json_text import json_text
from aiohooks.cli.log_lines import shown_logs
from aiohooks.cli.progress import say
from aiohooks.cli.saved_hooks import hook_lines, saved_hook_file
from aiohooks.deployment import Deployment
from aiohooks.errors import SpecError
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.saved import hooks_to_json, load_hooks
from aiohooks.inference.loaded_model import ModelDescription, TensorDescription, TrainedModel
from aiohooks.prediction import Task
from aiohooks.text_table import printable, table

MOST_LABELS = 50
"""Labels that are named; the rest are counted."""

_WIDEST = 100
_INDENT = len("preprocessing   ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.usage = "aiohooks info [OPTIONS] MODEL"
    add_model_arguments(parser)
    parser.add_argument("--json", action="store_true", help="write it as JSON")


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    path = saved_hook_file(args.model)
    hooks: tuple[PostInferenceHook, ...] = ()
    unreadable: SpecError | None = None
    with shown_logs(say):
        async with Deployment.load(**model_arguments(args), hooks=False) as deployment:
            description = deployment.describe()
        try:
            hooks = () if path is None else load_hooks(path)
        except SpecError as error:
            unreadable = error
    if args.json:
        told = None if unreadable is not None else hooks_to_json(hooks)["hooks"]
        print(json_text(msgspec.to_builtins(description, enc_hook=str) | {"hooks": told}))
    else:
        lines = sheet(description, width=min(shutil.get_terminal_size().columns, _WIDEST))
        print("\n".join([*lines, *(_hooks(path, hooks) if unreadable is None else [])]))
    if unreadable is not None:
        say(f"its hooks cannot be read: {unreadable}")
        return 1
    return 0


def sheet(description: ModelDescription, *, width: int) -> list[str]:
    """Return a description as lines, for a chain followed by those of its models; long lines are wrapped at this width."""
    if description.steps:
        lines = _rows(
            ("project", [description.project or description.name]),
            ("tasks", [" → ".join(step.name for step in description.steps)]),
            ("labels", _labels(description.labels, width)),
            ("device", [", ".join(description.devices)]),
            ("requests", [f"{description.requests} at once"]),
        )
        for step in description.steps:
            lines += ["", *sheet(msgspec.structs.replace(step, project=""), width=width)]
        return lines
    parameters = [(name, _text(value)) for name, value in sorted(description.parameters.items())]
    return _rows(
        ("project", [description.project]),
        ("model", [description.name]),
        ("trained", _trained(description.trained)),
        ("task", [description.task or "its decoder decides"]),
        ("type", [description.model_type]),
        ("labels", _labels(description.labels, width)),
        ("inputs", _tensors(description.inputs)),
        ("outputs", _tensors(description.outputs)),
        ("preprocessing", [description.preprocessing]),
        ("tiles", _tiles(description)),
        ("device", [", ".join(description.devices)]),
        ("precision", [description.precision]),
        ("compiled for", [description.performance_hint.lower()]),
        ("requests", [f"{description.requests} at once"]),
        ("parameters", table(parameters) if parameters else []),
    )


def _rows(*entries: tuple[str, Sequence[str]]) -> list[str]:
    return table([(name if i == 0 else "", line) for name, lines in entries for i, line in enumerate(lines) if line])


def _trained(model: TrainedModel | None) -> list[str]:
    if model is None:
        return []
    facts = [", ".join(model.precision), model.optimization, "XAI head" if model.has_xai_head else "no XAI head"]
    return [model.name or "in Geti", ", ".join(fact for fact in facts if fact)]


def _hooks(path: Path | None, hooks: Sequence[PostInferenceHook]) -> list[str]:
    if path is None:
        return []
    told = [f"{len(hooks):,} in {path.name}", *hook_lines(hooks)]
    return ["", *(printable(f"{'' if i else 'hooks':8}{line}") for i, line in enumerate(told))]


def _labels(labels: Sequence[str], width: int) -> list[str]:
    shown = ", ".join(labels[:MOST_LABELS])
    if len(labels) > MOST_LABELS:
        shown += f" and {len(labels) - MOST_LABELS:,} more; --json tells all"
    return [f"{len(labels):,}", *textwrap.wrap(shown, max(20, width - _INDENT))] if labels else ["none"]


def _tiles(description: ModelDescription) -> list[str]:
    tiling = description.tiling
    if tiling is None:
        return []
    size = f"{tiling.tile_size} × {tiling.tile_size} pixels, overlapping by {tiling.tiles_overlap:.0%}"
    lines = [f"{size}, and the whole picture" if tiling.tile_with_full_img else size]
    if description.task is not Task.SEGMENTATION:
        most = f"at most {tiling.max_pred_number:,} objects" if tiling.max_pred_number else "any number of objects"
        lines.append(f"{most}; of two that overlap by more than {tiling.iou_threshold:.0%}, the better one")
    return lines


def _tensors(tensors: Sequence[TensorDescription]) -> list[str]:
    rows = [
        (tensor.name, tensor.dtype, " × ".join("any" if side < 0 else str(side) for side in tensor.shape) or "scalar")
        for tensor in tensors
    ]
    return table(rows)


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


COMMAND = Command("info", "show what a model or deployment is and how it runs", add_arguments, run)
