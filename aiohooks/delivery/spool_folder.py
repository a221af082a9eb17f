"""The file work of a spool. Everything here blocks, and is done in one thread at a time."""

import contextlib
import errno
import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aiohooks.delivery.durable_file import fsync_file, fsync_folder, write_durably
from aiohooks.delivery.entry import Entry
from aiohooks.delivery.item import Item
from aiohooks.delivery.layout import (
    CORRUPT,
    DEAD,
    FOLDERS,
    LEASED,
    READY,
    SUMMARY,
    TMP,
    item_name,
    parse_item_name,
    reason_path,
)
from aiohooks.delivery.policies import Fsync
from aiohooks.delivery.record import MOST_HEAD_BYTES, CorruptRecordError, decode, decode_head, encode_head

logger = logging.getLogger("aiohooks.delivery")


class LostItemError(Exception):
    """An item that was accepted is not in the folder any more as it was.

    Attributes:
        reason: for the count of losses.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reason(msgspec.Struct, frozen=True):
    """Why a dead letter is one.

    Attributes:
        reason: in words.
        attempts: how often its delivery was begun.
        buried_at: seconds since the epoch, UTC.
    """

    reason: str = "unknown"
    attempts: int = 0
    buried_at: float | None = None


class SpoolFolder:
    """Moves items through the folders of a spool.

    Args:
        path: of the folder.
        fsync: when to force what is written to the disk.
    """

    def __init__(self, path: Path, fsync: Fsync) -> None:
        self.path = path
        self._fsync = fsync
        # As text, because pathlib takes longer than the file system.
        self._folders = {name: f"{path}{os.sep}{name}{os.sep}" for name in FOLDERS}
        self._unforced: deque[Entry] = deque()
        self._unforced_folders: set[str] = {READY}

    def make(self) -> None:
        """Make the folders that are missing."""
        for folder in self._folders.values():
            Path(folder).mkdir(exist_ok=True)
        if self._fsync != "never":
            fsync_folder(str(self.path))

    def sweep(self) -> None:
        """Remove what was being written when the last process died."""
        for name in os.listdir(self._folders[TMP]):
            if parse_item_name(name) or name == SUMMARY or name.endswith(".json"):
                os.unlink(self._folders[TMP] + name)

    def store(self, entry: Entry, item: Item) -> None:
        """Write an item; it counts as accepted once this returns.

        Raises:
            OSError: it cannot be written, and nothing is left; or its name cannot be forced to the disk, and it has a place.
        """
        name = self._name(entry)
        force = self._fsync == "always"
        pieces = (encode_head(item), item.payload)
        write_durably(self._folders[TMP] + name, self._folders[READY] + name, pieces, force=force)
        entry.place = READY
        if force:
            fsync_folder(self._folders[READY])
        elif self._fsync == "interval":
            self._unforced.append(entry)

    def note(self, entry: Entry) -> None:
        """Note on disk that an item is leased."""
        if entry.place == READY:
            # A disk that is full or failing must not keep anybody from emptying it.
            with _told(f"{self.path}: an item cannot be marked as leased"):
                self._move(entry, LEASED)

    def load(self, entry: Entry, is_noted: bool) -> Item:
        """Read an item that is leased.

        Args:
            entry: the item.
            is_noted: note that on disk.

        Raises:
            LostItemError: it is not what was written; it is in quarantine now, if it is there at all.
            OSError: it cannot be read now.
        """
        if is_noted:
            self.note(entry)
        try:
            return decode(self._read(entry))
        except FileNotFoundError:
            logger.warning("%s: item %s is lost: it was removed by somebody else", self.path, self._name(entry))
            raise LostItemError("missing") from None
        except CorruptRecordError as error:
            self.quarantine(entry, f"the item is lost: {error}")
            raise LostItemError("corrupt") from None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.quarantine(entry, f"the item is lost: {error}")
            raise LostItemError("unreadable") from None

    def release(self, entry: Entry) -> None:
        """Note on disk that an item is not leased any more."""
        if entry.place == LEASED:
            with _told(f"{self.path}: an item cannot be put back among the others"):
                self._move(entry, READY)

    def remove(self, entry: Entry) -> None:
        """Remove an item.

        Raises:
            OSError: it cannot be removed.
        """
        if not entry.place:
            return
        path = self._path(entry)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        if entry.place == DEAD:
            with contextlib.suppress(OSError):
                os.unlink(reason_path(Path(path)))
        entry.place = ""

    def bury(self, entry: Entry, reason: Reason) -> None:
        """Move an item to the dead letters.

        Raises:
            OSError: it cannot be moved.
        """
        name = reason_path(Path(self._name(entry))).name
        with _told(f"{self.path}: the reason for a dead letter is lost: {reason.reason}"):
            self._write(self._folders[DEAD] + name, msgspec.json.encode(reason))
        self._move(entry, DEAD)

    def revive(self, entry: Entry) -> None:
        """Move a dead letter, if it is there still, to the items that are ready; what it went through is forgotten.

        Raises:
            OSError: it cannot be moved.
        """
        if not entry.place:
            return
        reason = reason_path(Path(self._path(entry)))
        self._move(entry, READY, crashes=0)
        entry.attempts = 0
        with contextlib.suppress(OSError):
            reason.unlink()

    def read(self, entry: Entry) -> tuple[Item, Reason | None]:
        """Return an item as it is on disk, and why it is dead.

        Raises:
            OSError: it cannot be read.
            CorruptRecordError: it is not what was written.
        """
        item = decode(self._read(entry))
        return item, read_reason(Path(self._path(entry))) if entry.place == DEAD else None

    def write_summary(self, data: bytes) -> None:
        """Replace the summary.

        Raises:
            OSError: it cannot be written; the old one is still there.
        """
        self._write(str(self.path / SUMMARY), data)

    def force(self, most: int) -> bool:
        """Force what was written and not forced yet to the disk, at most so many files of it; say whether there is more."""
        trouble = f"{self.path}: items may not outlive a power loss"
        for _ in range(min(most, len(self._unforced))):
            entry = self._unforced.popleft()
            if entry.place:
                with _told(trouble):
                    fsync_file(self._path(entry))
        if not self._unforced:
            for place in [place for place in FOLDERS if place in self._unforced_folders]:
                with _told(trouble):
                    fsync_folder(self._folders[place])
            self._unforced_folders = {READY}
        return bool(self._unforced)

    def clear_quarantine(self) -> None:
        """Remove the files that are not what was written."""
        for name in os.listdir(self._folders[CORRUPT]):
            if parse_item_name(name):
                with contextlib.suppress(OSError):
                    os.unlink(self._folders[CORRUPT] + name)

    def quarantined(self) -> tuple[int, int]:
        """Return how many bytes are in quarantine, and the highest number of an item there."""
        nbytes, highest = 0, -1
        with os.scandir(self._folders[CORRUPT]) as found:
            for file in found:
                if parsed := parse_item_name(file.name):
                    nbytes += file.stat().st_size
                    highest = max(highest, parsed[0])
        return nbytes, highest

    def scan(self, place: str) -> Iterator[Entry]:
        """Yield the items of a folder in their order; one that is not what was written has gone into quarantine."""
        sources: dict[str, str] = {}  # one text for all items of a source
        for name in sorted(os.listdir(self._folders[place])):
            if parsed := parse_item_name(name):
                number, crashes = parsed
                entry = Entry(number, 0, 0.0, crashes=crashes, place=place)
                try:
                    with open(self._folders[place] + name, "rb", buffering=0) as file:
                        entry.nbytes = os.fstat(file.fileno()).st_size
                        head = decode_head(file.read(MOST_HEAD_BYTES), entry.nbytes)
                    entry.accepted_at = head.accepted_at
                    entry.source = sources.setdefault(head.source, head.source)
                except CorruptRecordError as error:
                    self.quarantine(entry, f"the item is lost: {error}")
                yield entry

    def crashed(self, entry: Entry) -> None:
        """Count a crash of the process that had leased this item.

        Raises:
            OSError: it cannot be noted.
        """
        self._move(entry, READY, crashes=entry.crashes + 1)

    def quarantine(self, entry: Entry, reason: str) -> None:
        """Move a file that is not to be used out of the way."""
        logger.warning("%s: %s goes into %s: %s", self.path, self._name(entry), CORRUPT, reason)
        with _told(f"{self.path}: a broken file cannot be moved away"):
            self._move(entry, CORRUPT)

    def _write(self, path: str, data: bytes) -> None:
        write_durably(self._folders[TMP] + os.path.basename(path), path, [data], force=False)

    def _read(self, entry: Entry) -> bytes:
        with open(self._path(entry), "rb", buffering=0) as file:
            return file.read()

    def _move(self, entry: Entry, place: str, *, crashes: int | None = None) -> None:
        crashes = entry.crashes if crashes is None else crashes
        os.replace(self._path(entry), self._folders[place] + item_name(entry.number, crashes))
        left, entry.place = entry.place, place
        entry.crashes = crashes
        if self._fsync == "always":
            # First where it is now: it may be found twice rather than not at all.
            fsync_folder(self._folders[place])
            fsync_folder(self._folders[left])
        elif self._fsync == "interval":
            self._unforced_folders |= {place, left}

    def _path(self, entry: Entry) -> str:
        if not entry.place:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._name(entry))
        return self._folders[entry.place] + self._name(entry)

    def _name(self, entry: Entry) -> str:
        return item_name(entry.number, entry.crashes)


def read_reason(path: Path) -> Reason:
    """Return why the dead letter at this path is one."""
    try:
        return msgspec.json.decode(reason_path(path).read_bytes(), type=Reason)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Reason()


@contextlib.contextmanager
def _told(trouble: str) -> Iterator[None]:
    """Go on after a failure of the file system, which is logged."""
    try:
        yield
    except OSError as error:
        logger.warning("%s: %s", trouble, error)
