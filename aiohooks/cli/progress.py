"""What a run shows of itself while it lasts: on standard error, which a progress bar shares with messages."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from aiohooks.cli.table import printable
from aiohooks.sources import FrameSource


@contextmanager
def progress_bar(frames: FrameSource) -> Iterator[Callable[[], None]]:
    """Give a function to call after each frame; it moves a bar, if standard error is a terminal."""
    with tqdm(
        desc=printable(frames.name), unit=" frames", leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty()
    ) as bar:

        def step() -> None:
            bar.total = frames.total  # known once the first frame was read
            bar.update()

        yield step


def say(line: str) -> None:
    """Write a line without tearing the bar."""
    tqdm.write(printable(line), file=sys.stderr)
