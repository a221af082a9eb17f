"""Shows what is being fetched."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from tqdm import tqdm

from aiohooks.demo.fetch import Progress


@contextmanager
def progress_bar(file: TextIO | None = None) -> Iterator[Progress]:
    """Give a callback for `fetch` that draws a bar in a terminal, and elsewhere writes a line for each package.

    Args:
        file: where to write; standard error if not given.
    """
    output = file or sys.stderr
    with ExitStack() as stack:
        show = _bar(output, stack) if output.isatty() else _lines(output)
        yield show


def _bar(file: TextIO, stack: ExitStack) -> Progress:
    bar: tqdm[Any] | None = None

    def show(name: str, received: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = stack.enter_context(
                tqdm(total=total, unit="B", unit_scale=True, leave=False, miniters=1, mininterval=0, file=file)
            )
        bar.set_description(f"fetching {name}", refresh=False)
        bar.update(received - bar.n)

    return show


def _lines(file: TextIO) -> Progress:
    last = ""

    def show(name: str, _received: int, _total: int) -> None:
        nonlocal last
        if name != last:
            last = name
            print(f"fetching {name}", file=file, flush=True)

    return show
