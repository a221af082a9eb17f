"""The folder where fetched and built files are kept between runs."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from aiohooks.atomic_file import write_atomically


def cache_dir() -> Path:
    """Return the user's cache folder for aiohooks; it may not exist yet."""
    return cache_dir_of(sys.platform, os.environ, Path.home())


def cache_dir_of(platform: str, environment: Mapping[str, str], home: Path) -> Path:
    """Return the cache folder for a platform (as ``sys.platform``), environment variables and a home folder.

    ``$AIOHOOKS_CACHE`` if set; else ``%LOCALAPPDATA%`` on Windows, ``~/Library/Caches`` on macOS, and the XDG base
    directory elsewhere, whose specification says to ignore a relative ``$XDG_CACHE_HOME``.
    """
    if chosen := environment.get("AIOHOOKS_CACHE"):
        return Path(chosen).expanduser().absolute()
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "aiohooks" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "aiohooks"
    xdg = Path(environment.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else home / ".cache") / "aiohooks"


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def holds(path: Path, sha256: str) -> bool:
    """Tell whether a file exists and has this SHA-256."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def put(path: Path, content: bytes) -> None:
    """Write a file at once: whoever reads or writes it too sees the old file or the new one, never a part.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomically(path, content)
    except PermissionError:
        # Windows refuses while another process reads the file that it put there meanwhile.
        if not holds(path, sha256_of_bytes(content)):
            raise
