"""Files that saved hooks name, such as the model of an OOD trigger: they may lie beside the file of the hooks."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohooks.hooks.triggers.combination import parts_of

_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)


@dataclass(frozen=True, slots=True)
class SavedFile:
    """What a trigger has read from a file, to be written elsewhere: by then the file may hold something else, or be gone.

    Attributes:
        path: of the file.
        checksum: tells what was read from other contents of the file.
        write: writes it to a path.
        is_there: tells whether the file still holds what was read. Blocks.
    """

    path: Path
    checksum: int
    write: Callable[[Path], object] = field(compare=False, repr=False)
    is_there: Callable[[], bool] = field(compare=False, repr=False)


def saved_files(trigger: Any) -> Iterator[SavedFile]:
    """Yield what a trigger, or its parts, have read from files."""
    for part in parts_of(trigger):
        yield from saved_files(part)
    if hasattr(trigger, "saved_file"):
        for name in trigger.file_fields:
            yield trigger.saved_file(name)


@contextlib.contextmanager
def beside(file: str | os.PathLike[str]) -> Iterator[None]:
    """Within the block, `found` and `named` are relative to the folder of this file, which hooks are read from or written to."""
    before = _folder.set(Path(file).absolute().parent)
    try:
        yield
    finally:
        _folder.reset(before)


def found(path: str) -> str:
    """Return the absolute path of a file: a relative one starts at the file of the hooks that are being read, or else at the working directory."""
    folder = _folder.get()
    if folder is not None and (folder / path).exists():
        return str(folder / path)
    return str(Path(path).absolute())


def named(path: str | os.PathLike[str]) -> str:
    """Return how hooks name a file: relative to the file that they are being written to, if there is one, so that both may move together."""
    folder = _folder.get()
    if folder is not None:
        with contextlib.suppress(ValueError):  # on another drive
            return Path(os.path.relpath(path, folder)).as_posix()
    return str(Path(path).absolute())
