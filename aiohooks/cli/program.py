"""From a command line to an exit code."""

import argparse
import difflib
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import anyio

import aiohooks
from aiohooks.cli import demo, drift, info, ood, run, serve, spool
from aiohooks.cli.command import Command, UsageError
from aiohooks.errors import AiohooksError
from aiohooks.text_table import printable

COMMANDS = (run.COMMAND, info.COMMAND, serve.COMMAND, demo.COMMAND, spool.COMMAND, ood.COMMAND, drift.COMMAND)
"""Every command, in the order in which the help shows them."""

WRONG_USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``aiohooks``.

    Args:
        argv: its arguments; by default those that the program was started with.

    Returns:
        The exit code: 0 if all went well, 1 if something failed, 130 after Ctrl-C, 141 if nobody reads the output.

    Raises:
        SystemExit: with code 2 if the arguments are wrong, 0 if help was asked for.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow must not fail where only ASCII is written
    # What is wrong with a video is said by us: FFmpeg says it once for every frame.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        try:
            return _run(argv)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        # Python flushes standard output once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    command: Command | None = args.command
    if command is None:
        parser.print_help(sys.stderr)
        return WRONG_USAGE
    try:
        return anyio.run(command.run, args)
    except UsageError as error:
        print(f"aiohooks {command.name}: {printable(str(error))}", file=sys.stderr)
        return WRONG_USAGE
    except AiohooksError as error:
        print(f"aiohooks {command.name}: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Tells what an unknown option may have meant, beside the usage of the command that it was given to."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            options = re.findall(r"--[\w-]+", self.format_help())
            meant = [near for one in unknown for near in difflib.get_close_matches(one.partition("=")[0], options, n=1)]
            hint = f"; did you mean {', '.join(meant)}?" if meant else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known, unknown


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="aiohooks", description=aiohooks.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"aiohooks {aiohooks.__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(
            command.name, help=command.summary, description=_sentence(command.summary), allow_abbrev=False
        )
        command.add_arguments(own)
        own.set_defaults(command=command)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
