"""What a command is."""

import argparse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


class UsageError(Exception):
    """The command line asks for something that makes no sense; the program ends with exit code 2."""


@dataclass(frozen=True)
class Command:
    """One command of ``aiohooks``.

    Attributes:
        name: as it is typed.
        summary: what it does, in a line.
        add_arguments: adds what it takes to its parser.
        run: does it, in an event loop, and returns the exit code. It may raise `UsageError` and any `AiohooksError`,
            whose message is then shown.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Awaitable[int]]
