"""What the demo did, as tables of text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from aiohooks.hooks.actions.file_system import StoredFiles
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.outcome import Outcome
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.inference.result import Result

_BAR = 20


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
        rows.append((running.name, name_of(hook.trigger), name_of(hook.action), *map(str, numbers)))
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


def block_for(file: TextIO) -> str:
    """Return what a bar is made of in a file: a full block if its encoding has that, else ``#``."""
    try:
        "█".encode(file.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"
