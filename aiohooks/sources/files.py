"""What can be read as a file."""

import re
import stat
from pathlib import Path

from aiohooks.errors import FrameError

_ADDRESS = re.compile(r"(https?|rtsps?|ftps?|s3|gs):[/\\]", re.IGNORECASE)
"""How an address begins, of which `Path` makes ``https:/host``."""


def require_file(path: Path) -> None:
    """Check that a path is a regular file: reading a pipe or device might never end.

    Raises:
        FrameError: it is none, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        raise FrameError(
            f"{path}: it is a folder, a file is needed; infer_many and stream take the pictures in a folder"
        )
    if not stat.S_ISREG(mode):
        raise FrameError(f"{path}: it is not a regular file")


def unreadable(path: Path, error: OSError | ValueError) -> FrameError:
    """Return the error that tells why a file cannot be read."""
    if _ADDRESS.match(str(path)):
        return FrameError(
            f"{path}: it is an address, and a file is needed: fetch it and pass its bytes; ah.mjpeg(url) and ah.camera(url) read cameras"
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return FrameError(f"{path}: cannot be read: {reason}")
