"""What became of the items that are gone: counted while a spool is open, and kept in its folder in between."""

from pathlib import Path

import msgspec

from aiohooks.errors import DeliveryError

VERSION = 1
"""Version of the layout of the folder that is written, and the only one that is read."""


class Summary(msgspec.Struct):
    """Counts over the life of a spool's folder. After a killed process the last second of them may be missing.

    Attributes:
        version: of the folder's layout.
        accepted: items that were accepted.
        delivered: items that were acknowledged.
        lost: items that were neither delivered nor are held, by reason.
    """

    version: int = VERSION
    accepted: int = 0
    delivered: int = 0
    lost: dict[str, int] = {}

    def lose(self, reason: str) -> None:
        """Count a loss."""
        self.lost[reason] = self.lost.get(reason, 0) + 1

    def take_over(self, other: "Summary") -> None:
        """Go on from the counts of another."""
        self.accepted, self.delivered, self.lost = other.accepted, other.delivered, other.lost

    def encode(self) -> bytes:
        """Return the content of the file."""
        return msgspec.json.encode(self)


def read_summary(path: Path) -> Summary:
    """Return what the file says; one that is missing or broken, as a power loss may leave it, says nothing.

    Raises:
        DeliveryError: another version wrote it.
    """
    try:
        summary = msgspec.json.decode(path.read_bytes(), type=Summary)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return Summary()
    except OSError as error:
        raise DeliveryError(f"{path}: cannot be read: {error}") from error
    if summary.version != VERSION:
        raise DeliveryError(
            f"{path}: expected version {VERSION}, got {summary.version}: another version of aiohooks wrote it; deliver with "
            f"that what is here, or use another folder"
        )
    return summary
