"""``aiohooks demo``: a real model on real pictures."""

import argparse
from pathlib import Path

from aiohooks.cli.command import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("aiohooks-demo"),
        metavar="DIR",
        help="folder for what it makes (default: %(default)s)",
    )
    parser.add_argument("--device", default="CPU", help="OpenVINO device (default: %(default)s)")


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from aiohooks.demo.run import run_demo  # loads OpenCV

    await run_demo(args.output, device=args.device)
    return 0


COMMAND = Command("demo", "classify eight pictures with a real model and three hooks", add_arguments, run)
