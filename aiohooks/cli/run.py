"""``aiohooks run``: a model over pictures and videos, with hooks."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import zip_longest
from pathlib import Path
from signal import Signals
from time import perf_counter

import anyio

from aiohooks.cli.annotated import Output
from aiohooks.cli.arguments import add_model_arguments, model_arguments, seconds, whole_number
from aiohooks.cli.command import Command, UsageError
from aiohooks.cli.ending import Ending
from aiohooks.cli.inputs import Input, VideoRange, find_inputs
from aiohooks.cli.json_text import json_text
from aiohooks.cli.live import shown_live
from aiohooks.cli.log_lines import shown_logs
from aiohooks.cli.outputs import plan_outputs
from aiohooks.cli.passage import Writing, infer, infer_and_write
from aiohooks.cli.progress import hint, progress_bar, say
from aiohooks.cli.report import line_of, report
from aiohooks.cli.saved_hooks import saved_hook_file
from aiohooks.cli.signals import REASONS, watched
from aiohooks.cli.summary import HookFailures, OutputSummary, Summary, Tally
from aiohooks.deployment import Deployment
from aiohooks.hooks.saved import load_hooks
from aiohooks.inference.result import Result
from aiohooks.text_table import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.usage = "aiohooks run [OPTIONS] MODEL SOURCE [SOURCE ...]"
    parser.epilog = (
        "Exit codes: 0 all went well; 1 a frame, a hook or the model failed; 2 wrong usage; 130 Ctrl-C; 143 SIGTERM."
        " Ctrl-C lets what is in flight and the hooks finish; a second one ends at once."
    )
    add_model_arguments(parser)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="pictures, folders of pictures, and videos")
    parser.add_argument("--recursive", action="store_true", help="take the pictures in subfolders too")
    video = parser.add_argument_group("videos")
    video.add_argument(
        "--start", type=whole_number(0), default=0, metavar="N", help="number of the first frame, from 0"
    )
    video.add_argument("--end", type=whole_number(1), metavar="N", help="number of the first frame not wanted any more")
    video.add_argument("--stride", type=whole_number(1), default=1, metavar="N", help="take every N-th frame")
    results = parser.add_argument_group("results")
    results.add_argument(
        "--hooks",
        metavar="FILE",
        help="JSON file with hooks to run on what is seen: one of aiohooks, or a hook_config.json of geti-sdk",
    )
    results.add_argument(
        "--saved-hooks",
        action="store_true",
        help="run the hooks that are saved in the folder of the deployment; without this they are left out",
    )
    results.add_argument(
        "--drain-timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long hooks may go on at the end (default: %(default)g)",
    )
    results.add_argument("--output", type=Path, metavar="DIR", help="folder for annotated pictures and videos")
    results.add_argument(
        "--live", action="store_true", help="show the run on a page in the browser, on this machine only"
    )
    results.add_argument(
        "--live-port",
        type=whole_number(0),
        default=0,
        metavar="PORT",
        help="port of that page (default: any that is free)",
    )
    told = results.add_mutually_exclusive_group()
    told.add_argument("--list", action="store_true", help="write what is seen in each frame, a line a frame")
    told.add_argument("--json", action="store_true", help="write the summary as JSON")


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    inputs = _inputs(args)
    outputs = _outputs(args, inputs)
    ending = Ending()
    with shown_logs(say), watched(partial(_end, ending)):
        hooks = load_hooks(args.hooks) if args.hooks is not None else ()
        deployment = Deployment.load(**model_arguments(args), hooks=args.saved_hooks, drain_timeout=args.drain_timeout)
        _tell_of_saved_hooks(args.model, wanted=args.saved_hooks)
        async with deployment:
            for hook in hooks:
                deployment.add_hook(hook)
            async with shown_live(deployment, args.live_port) if args.live else nullcontext():
                summary = await _go_through(deployment, inputs, outputs, ending, show=args.list)
    if args.list and summary.frames:
        print()
    print(json_text(summary) if args.json else "\n".join(report(summary)))
    return ending.exit_code or int(not summary.is_good)


async def _go_through(
    deployment: Deployment, inputs: Sequence[Input], outputs: Sequence[Output], ending: Ending, *, show: bool
) -> Summary:
    """Take every source through the deployment and drain that."""
    tally, failures = Tally(), HookFailures()
    writings = [Writing(output, ending) for output in outputs]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(failures.follow, deployment.outcomes())
        started = perf_counter()
        with ending.cuts_short(after=deployment.drain_timeout) as finishing:
            for source, writing in zip_longest(inputs, writings):
                with progress_bar(source.frames) as step:
                    take = partial(_take, tally, step, show)
                    if writing is None:
                        await infer(deployment, source.frames, take, ending)
                    else:
                        await infer_and_write(deployment, source.frames, take, ending, writing)
        elapsed = perf_counter() - started
        if finishing.cancelled_caught:
            deployment.drain_timeout = 0
        elif waiting := sum(hook.pending for hook in deployment.hooks):
            hint(f"{waiting} events wait for hooks, which may take {deployment.drain_timeout:g} s")
        await deployment.aclose()  # ends the outcomes
    return Summary(
        model=deployment.name,
        frames=tally.frames,
        failed=tally.failed,
        errors=tuple(tally.errors),
        seconds=elapsed,
        frames_per_second=tally.frames / max(elapsed, 1e-9),
        nothing=tally.nothing,
        labels=tally.labels(),
        hooks=failures.summaries(deployment.hooks),
        outputs=tuple(OutputSummary(path=writing.output.path, frames=writing.frames) for writing in writings),
        ended_early=ending.reason,
    )


def _tell_of_saved_hooks(model: str, *, wanted: bool) -> None:
    path = saved_hook_file(model)
    if wanted and path is None:
        raise UsageError(f"--saved-hooks: no hooks are saved with {model}; --hooks FILE runs those of a file")
    if path is not None and not wanted:
        say(f"the hooks in {path} are left out; --saved-hooks runs them")


def _inputs(args: argparse.Namespace) -> list[Input]:
    wanted = VideoRange(args.start, args.end, args.stride)
    if wanted.end is not None and wanted.end <= wanted.start:
        raise UsageError(f"--end {wanted.end} must be greater than --start {wanted.start}")
    inputs = find_inputs(args.sources, recursive=args.recursive, video_range=wanted)
    if wanted != VideoRange() and not any(source.kind == "video" for source in inputs):
        raise UsageError("--start, --end and --stride are for videos, and no SOURCE is a video")
    return inputs


def _outputs(args: argparse.Namespace, inputs: Sequence[Input]) -> list[Output]:
    """Return an output for each source, or none at all."""
    if args.output is None:
        return []
    return plan_outputs(args.output, inputs, recursive=args.recursive, stride=args.stride)


def _end(ending: Ending, number: Signals) -> None:
    say(f"{REASONS[number]}: what is in flight is finished first; Ctrl-C again ends at once")
    ending.end(REASONS[number], 128 + number)


def _take(tally: Tally, step: Callable[[], None], show: bool, result: Result) -> None:
    tally.add(result)
    if show:
        print(printable(line_of(result)), flush=True)
    step()


COMMAND = Command("run", "run a model over pictures and videos, with hooks", add_arguments, run)
