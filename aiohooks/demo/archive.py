"""Reads one file out of a package: a wheel, a zip or a tar, without unpacking the rest."""

import tarfile
import zipfile
from pathlib import Path

from aiohooks.errors import LoadError


def read_member(archive: Path, member: str, *, max_bytes: int) -> bytes:
    """Return the bytes of one file of an archive.

    Nothing is written, so no name inside the archive can lead anywhere, and no more than ``max_bytes + 1`` bytes
    are held, whatever the archive says about itself.

    Args:
        archive: a ``.whl``, ``.zip``, ``.tar`` or compressed tar.
        member: path of the file inside the archive.
        max_bytes: the largest size to accept.

    Raises:
        LoadError: the archive is damaged, has no such file, or the file is larger than ``max_bytes``.
    """
    read = _from_zip if zipfile.is_zipfile(archive) else _from_tar
    try:
        content = read(archive, member, max_bytes + 1)
    except KeyError:
        raise LoadError(f"{archive.name} holds no file {member}: it is not the package that was expected") from None
    except Exception as error:  # damage shows in many ways: of zipfile, tarfile, and each decompressor
        raise LoadError(
            f"cannot read {member} out of {archive.name}: {type(error).__name__} {error}; fetch it again"
        ) from error
    if len(content) > max_bytes:
        raise LoadError(f"{member} in {archive.name} is larger than the {max_bytes} bytes expected: not unpacked")
    return content


def _from_zip(archive: Path, member: str, size: int) -> bytes:
    with zipfile.ZipFile(archive) as opened, opened.open(member) as file:
        return file.read(size)


def _from_tar(archive: Path, member: str, size: int) -> bytes:
    with tarfile.open(archive) as opened:
        file = opened.extractfile(member)
        if file is None:
            raise KeyError(member)
        with file:
            return file.read(size)
