"""The command line that all benchmarks share."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How long to measure, and where the figures go.

    Attributes:
        quick: a first look instead of figures to quote.
        json: folder for the figures as JSON.
        rounds: alternations.
        seconds: of one contender's turn.
    """

    quick: bool
    json: Path
    rounds: int
    seconds: float


def parse(description: str | None, arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="9 short rounds instead of 15 longer ones")
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks/results"), metavar="FOLDER", help="for the figures"
    )
    given = parser.parse_args(arguments)
    return Options(given.quick, given.json, rounds=9 if given.quick else 15, seconds=0.08 if given.quick else 0.3)
