"""Folders that are replaced as a whole."""

import shutil
from pathlib import Path

from aiohooks.atomic_file import part_of


def replace_folder(new: Path, target: Path) -> None:
    """Move a folder to a place; what is there is removed once that is done, and put back if it fails.

    Blocks. For a moment there is nothing in that place.

    Args:
        new: the folder, in the file system of ``target``.
        target: its new path; a folder may be there, or a link to one, which is removed without what it leads to.

    Raises:
        OSError: it cannot be moved.
    """
    if not target.is_dir():
        new.rename(target)
        return
    aside = target.rename(part_of(target))
    try:
        new.rename(target)
    except OSError:
        aside.rename(target)
        raise
    if aside.is_symlink():
        aside.unlink()
    else:
        shutil.rmtree(aside, ignore_errors=True)
