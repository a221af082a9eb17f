"""Where things are in the folder of a spool.

    lock        held by the process that has the spool open; says which that is
    spool.json  version of this layout, and what became of the items that are gone
    tmp/        what is being written; never read, swept at the start
    ready/      accepted items, delayed ones too, and leased ones if that is not noted
    leased/     accepted items that are leased, if the spool counts how often a process dies then: what is here at the start
    dead/       items that were given up; the reason in a file of the same name with .json instead of .item
    corrupt/    files that are not what was written

A file of an item is called ``<number>-<crashes>.item``: 16 digits in the order of acceptance, then how often a process died
while it had leased the item. It moves from folder to folder by a rename, so that it is always in exactly one.
"""

import re
from pathlib import Path

LOCK = "lock"
SUMMARY = "spool.json"
TMP = "tmp"
READY = "ready"
LEASED = "leased"
DEAD = "dead"
CORRUPT = "corrupt"
FOLDERS = (TMP, READY, LEASED, DEAD, CORRUPT)

_ITEM = re.compile(r"(\d{16,})-(\d+)\.item", re.ASCII)


def item_name(number: int, crashes: int) -> str:
    """Return the name of an item's file; names sort like numbers, which stay below 10¹⁶."""
    return f"{number:016d}-{crashes}.item"


def parse_item_name(name: str) -> tuple[int, int] | None:
    """Return number and crashes, or None if it is not the name of an item's file."""
    match = _ITEM.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def reason_path(path: Path) -> Path:
    """Return where the reason for a dead letter is."""
    return path.with_suffix(".json")


def is_spool(folder: Path) -> bool:
    """Say whether this is the folder of a spool."""
    return (folder / SUMMARY).is_file()


def stranger(folder: Path) -> str:
    """Name one thing in a folder that is not a spool's, as ", such as notes.txt"; empty if it is no folder."""
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return next((f", such as {name}" for name in found if name not in (LOCK, *FOLDERS)), "")


def is_free(folder: Path) -> bool:
    """Say whether a spool may be made here: the folder is not there, is empty, or the making of a spool ended early."""
    return not folder.exists() or (folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK, *FOLDERS})
