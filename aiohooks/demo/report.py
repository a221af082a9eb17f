"""What the demo did, as tables of text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from aiohooks.hooks.actions.file_system import StoredFiles
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.outcome import Outcome
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.inference.result import Result
from aiohooks.text_table import table

_BAR = 20


def what_was_seen(results: Iterable[Result], *, block: str) -> list[str]:
    """Return a table of pictures with the label of each, how sure the model is, and that as a bar of blocks."""
    rows = [("picture", "sees", "sure", "")]
    for result in results:
        name, score = result.prediction.label_names[0], float(result.prediction.scores[0])
        rows.append((result.frame.name, name, f"{score:.0%}", block * max(1, round(_BAR * score))))
    return table(rows, right=(2,))


def what_hooks_did(hooks: Sequence[RunningHook], outcomes: Sequence[Outcome], output: Path) -> list[str]:
    """Return a table of the hooks' counts, and below it what those did that did not run on every picture."""
    rows: list[tuple[str, ...]] = [("hook", "trigger", "action", "seen", "fired", "done", "failed")]
    for running in hooks:
        hook, counts = running.hook, running.counts
        numbers = (counts.seen, counts.fired, counts.done, counts.failed)
        rows.append((running.name, name_of(hook.trigger), name_of(hook.action), *map(str, numbers)))
    picky = {running.name for running in hooks if running.counts.not_fired}
    lines = [
        (outcome.hook, outcome.frame_name, _what(outcome, output)) for outcome in outcomes if outcome.hook in picky
    ]
    return [*table(rows, right=(3, 4, 5, 6)), "", *table([("hook", "picture", "what it did"), *lines])]


def _what(outcome: Outcome, output: Path) -> str:
    match outcome.value:
        case StoredFiles(image=image):
            return f"kept as {Path(image).relative_to(output)}"
        case str() as line:
            return f"logged {line!r}"
    return str(outcome.error or outcome.kind)


def block_for(file: TextIO) -> str:
    """Return what a bar is made of in a file: a full block if its encoding has that, else ``#``."""
    try:
        "█".encode(file.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"
