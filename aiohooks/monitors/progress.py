"""How far long work has come."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is under way, how many pictures (or windows) are done, and how many there are: 0 if that is not known."""


@contextmanager
def shown(progress: bool | Progress | None, unit: str = "pictures") -> Iterator[Progress]:
    """Give what to call after each picture: the given function, or, for True, one that moves a bar on standard error in a terminal."""
    if callable(progress):
        yield progress
    elif not progress or not sys.stderr.isatty():
        yield unseen
    else:
        with _bar(unit) as show:
            yield show


def unseen(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def _bar(unit: str) -> Iterator[Progress]:
    from tqdm import tqdm

    from aiohooks.text_table import printable

    bar: tqdm[Any] | None = None
    now = ""

    def show(what: str, done: int, total: int) -> None:
        nonlocal bar, now
        if bar is None or what != now:
            if bar is not None:
                bar.close()
            bar, now = tqdm(desc=printable(what), total=total or None, unit=f" {unit}", leave=False), what
        bar.total = total or None
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
