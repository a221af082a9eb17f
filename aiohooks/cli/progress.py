"""What a run shows while it lasts: on standard error, which a progress bar shares with messages."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from aiohooks.sources import FrameSource
from aiohooks.text_table import printable

_WIDEST = 100
_ERASE_LINE = "\x1b[K"  # of the bar, tqdm erases only itself


@contextmanager
def progress_bar(frames: FrameSource) -> Iterator[Callable[[], None]]:
    """Give a function to call after each frame; it moves a bar, if standard error is a terminal."""
    width = min(shutil.get_terminal_size().columns - 2, _WIDEST)  # room for the ^C that the terminal writes
    hidden = not sys.stderr.isatty()
    with tqdm(desc=printable(frames.name), unit=" frames", leave=False, ncols=width, disable=hidden) as bar:

        def step() -> None:
            bar.total = frames.total  # known once the first frame was read
            bar.update()

        yield step


def say(line: str) -> None:
    """Write a line without tearing the bar."""
    tqdm.write((_ERASE_LINE if sys.stderr.isatty() else "") + printable(line), file=sys.stderr)


def hint(line: str) -> None:
    """Write a line for somebody who watches: only in a terminal."""
    if sys.stderr.isatty():
        say(line)
