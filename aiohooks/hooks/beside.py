"""Files that saved hooks name, such as the model of an OOD trigger: they may lie beside the file of the hooks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)


@contextmanager
def beside(file: str | os.PathLike[str]) -> Iterator[None]:
    """Have `found` look in the folder of a file first."""
    before = _folder.set(Path(file).parent)
    try:
        yield
    finally:
        _folder.reset(before)


def found(path: str) -> str:
    """Return where a file is: a relative path leads from the file of the hooks that are being read, if there is one, else from here."""
    folder = _folder.get()
    if folder is not None and (folder / path).exists():
        return str(folder / path)
    return path
