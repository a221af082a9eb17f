"""What came of a run, as text."""

from collections.abc import Sequence
from dataclasses import asdict

from aiohooks.cli.summary import HookSummary, LabelSummary, OutputSummary, Summary
from aiohooks.inference.result import Result
from aiohooks.text_table import printable, table

MOST_LABELS = 20
"""Labels that are named; the rest are counted."""

_COLUMNS_WITHOUT_NEED = ("seen", "fired", "done", "failed")


def line_of(result: Result) -> str:
    """Return what was seen in one frame, or why nothing could be."""
    if not result.ok:
        return str(result.error)
    prediction = result.prediction
    seen = zip(prediction.label_names, prediction.scores.tolist(), strict=True)
    name = result.frame.name or f"frame {result.frame.index}"
    return f"{name}: {', '.join(f'{label} {score:.0%}' for label, score in seen) or 'nothing'}"


def report(summary: Summary) -> list[str]:
    """Return the summary as lines: blocks with an empty line between them."""
    blocks = [
        _head(summary),
        _labels(summary.labels, summary.nothing),
        _errors(summary),
        _hooks(summary.hooks),
        _hook_failures(summary.hooks),
        _outputs(summary.outputs),
    ]
    lines: list[str] = []
    for block in blocks:
        lines += ["", *block] if lines and block else block
    return lines


def _head(summary: Summary) -> list[str]:
    done = f"{summary.model}: {_counted(summary.frames, 'frame')} in {summary.seconds:.1f} s"
    if summary.frames:
        done += f", {summary.frames_per_second:.1f} frames/s"
    if summary.ended_early:
        done += f"; {summary.ended_early}"
    return [printable(done)]


def _labels(labels: Sequence[LabelSummary], nothing: int) -> list[str]:
    rows = [("label", "frames", "count", "mean score")]
    for label in labels[:MOST_LABELS]:
        rows.append((label.label, str(label.frames), str(label.count), f"{label.mean_score:.2f}"))
    if nothing:
        rows.append(("(nothing)", str(nothing), "", ""))
    if len(rows) == 1:
        return []
    lines = table(rows, right=(1, 2, 3))
    if len(labels) > MOST_LABELS:
        lines.append(f"and {_counted(len(labels) - MOST_LABELS, 'more label')}; --json tells all")
    return lines


def _errors(summary: Summary) -> list[str]:
    if not summary.failed:
        return []
    lines = [f"{_counted(summary.failed, 'frame')} failed:", *(f"  {printable(error)}" for error in summary.errors)]
    if summary.failed > len(summary.errors):
        lines.append(f"  and {summary.failed - len(summary.errors)} more")
    return lines


def _hooks(hooks: Sequence[HookSummary]) -> list[str]:
    if not hooks:
        return []
    counts = [asdict(hook.counts) for hook in hooks]
    columns = [name for name in counts[0] if name in _COLUMNS_WITHOUT_NEED or any(count[name] for count in counts)]
    rows = [("hook", *(name.replace("_", " ") for name in columns))]
    for hook, count in zip(hooks, counts, strict=True):
        rows.append((hook.name, *(str(count[name]) for name in columns)))
    return table(rows, right=range(1, len(columns) + 1))


def _hook_failures(hooks: Sequence[HookSummary]) -> list[str]:
    lines: list[str] = []
    for hook in hooks:
        if hook.failures:
            lines.append(printable(f"the hook {hook.name} failed:"))
            for failure in hook.failures:
                how_often = f"{_counted(failure.count, 'time')}, " if failure.count > 1 else ""
                lines.append(printable(f"  {failure.reason} ({how_often}first on {failure.frame})"))
            counts = hook.counts
            told = sum(failure.count for failure in hook.failures)
            if more := counts.failed + counts.timed_out + counts.trigger_failed - told:
                lines.append(f"  and {more} more")
    return lines


def _outputs(outputs: Sequence[OutputSummary]) -> list[str]:
    rows = [("annotated", "frames"), *((str(output.path), str(output.frames)) for output in outputs if output.frames)]
    return table(rows, right=(1,)) if len(rows) > 1 else []


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
