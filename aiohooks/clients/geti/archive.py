"""Unpacks a zip that somebody else made."""

import stat
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

MAX_ENTRIES = 10_000
"""Files and folders in an archive; a deployment has some dozens."""

_CHUNK = 1 << 20
_MAX_NAME = 1024
_ENCRYPTED = 0x1


class ArchiveError(Exception):
    """An archive is damaged, or holds what must not be unpacked."""


def safe_member(name: str) -> PurePosixPath:
    """Return the path of a member below the folder that it is unpacked in.

    Args:
        name: as the archive has it, with ``/`` between folders.

    Raises:
        ArchiveError: it is empty, absolute, leads out of the folder or means something else on another system.
    """
    steps = name.removesuffix("/").split("/")
    if len(name) > _MAX_NAME:
        raise ArchiveError(f"the name {name[:60]!r}… is too long")
    if any(step in ("", ".", "..") for step in steps):
        raise ArchiveError(f"the name {name!r} is empty, absolute or leads out of the folder")
    if any(character in '\\:*?"<>|' or unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ArchiveError(f"the name {name!r} holds a character that no file should have in its name")
    return PurePosixPath(*steps)


def check_members(members: list[zipfile.ZipInfo], *, max_bytes: int) -> list[PurePosixPath]:
    """Return where each member belongs.

    Raises:
        ArchiveError: there are too many, they are too large by their own account, one is a link or a device, is encrypted,
            has an unsafe name, or has the name of another one, in upper or lower case.
    """
    if len(members) > MAX_ENTRIES:
        raise ArchiveError(f"it holds {len(members)} entries, more than {MAX_ENTRIES}")
    if sum(member.file_size for member in members) > max_bytes:
        raise ArchiveError(f"it holds more than {max_bytes} bytes")
    paths = []
    files: set[str] = set()
    for member in members:
        path = safe_member(member.orig_filename)
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"{path} is a link or a device and no file")
        if member.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{path} is encrypted")
        if not member.is_dir():
            key = unicodedata.normalize("NFC", str(path)).casefold()
            if key in files:
                raise ArchiveError(f"{path} is in it twice")
            files.add(key)
        paths.append(path)
    return paths


def unpack(
    archive: Path, folder: Path, *, max_bytes: int, check_cancelled: Callable[[], object] = lambda: None
) -> None:
    """Unpack a zip into an empty folder; blocks. No file gets rights that the archive asks for.

    Args:
        archive: the zip.
        folder: empty.
        max_bytes: of all files together.
        check_cancelled: raises what ends the work early.

    Raises:
        ArchiveError: it is damaged or unsafe; what is in the folder by then is of no use.
        OSError: it cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            for member, path in zip(members, check_members(members, max_bytes=max_bytes), strict=True):
                target = folder.joinpath(path)
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("xb") as file:
                    # zipfile reads no more of a file than its entry says, and that was added up.
                    _copy(source, file, check_cancelled)
    except (ArchiveError, OSError):
        raise
    except Exception as error:  # damage shows in many ways: of zipfile, and of each decompressor
        raise ArchiveError(f"it is damaged: {type(error).__name__} {error}") from error


def _copy(source: IO[bytes], file: IO[bytes], check_cancelled: Callable[[], object]) -> None:
    while chunk := source.read(_CHUNK):
        check_cancelled()
        file.write(chunk)
