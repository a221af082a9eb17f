"""What a spool finds in its folder when it starts."""

import logging
import time
from operator import attrgetter
from typing import NamedTuple

from aiohooks.delivery.entry import Entry
from aiohooks.delivery.layout import CORRUPT, DEAD, LEASED, READY, SUMMARY
from aiohooks.delivery.spool_folder import Reason, SpoolFolder
from aiohooks.delivery.summary import Summary, read_summary

logger = logging.getLogger("aiohooks.delivery")


class Found(NamedTuple):
    """The content of a spool's folder.

    Attributes:
        waiting: items that are to be delivered, the oldest first.
        dead: items that were given up.
        quarantined_bytes: of files that are not what was written.
        next_number: for the next item; above all that are there.
        summary: what became of the items that are gone.
    """

    waiting: list[Entry]
    dead: list[Entry]
    quarantined_bytes: int
    next_number: int
    summary: Summary


def recover(folder: SpoolFolder, max_attempts: int | None) -> Found:
    """Put a folder in order after a process that may have died at any moment, and return what is there. Blocks.

    What was being written was not accepted: it is removed. What was leased goes back to the others, or to the
    dead letters if processes have died too often while they had it. The head of each file is checked; the payload is when it is read.

    Raises:
        DeliveryError: another version wrote the folder.
        OSError: the folder cannot be read.
    """
    summary = read_summary(folder.path / SUMMARY)
    folder.make()
    folder.sweep()
    held = [entry for entry in folder.scan(LEASED) if _is_sound(entry, summary)]
    for entry in held:
        _take_back(folder, entry, max_attempts)
    # What could not be moved is still where it was, and as good as the others.
    waiting = [entry for entry in held if entry.place == LEASED]
    waiting += [entry for entry in folder.scan(READY) if _is_sound(entry, summary)]
    waiting.sort(key=attrgetter("number"))
    dead = [entry for entry in folder.scan(DEAD) if _is_sound(entry, summary)]
    waiting, dead = _one_of_each(folder, waiting, dead)
    nbytes, highest = folder.quarantined()
    highest = max(highest, *(entries[-1].number for entries in (waiting, dead) if entries), -1)
    return Found(waiting, dead, nbytes, highest + 1, summary)


def _one_of_each(folder: SpoolFolder, waiting: list[Entry], dead: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Keep one file of each number, the others in quarantine: a loss of power can leave a file that was moved in two places.

    One that waits rather than a dead letter, since it may have been replayed; of two that wait the one with more crashes.
    """
    kept: dict[int, Entry] = {}
    for entry in [*sorted(waiting, key=attrgetter("crashes"), reverse=True), *dead]:
        if kept.setdefault(entry.number, entry) is not entry:
            folder.quarantine(entry, "another file has its number")
    return (
        [entry for entry in waiting if kept[entry.number] is entry],
        [entry for entry in dead if kept[entry.number] is entry],
    )


def _take_back(folder: SpoolFolder, entry: Entry, max_attempts: int | None) -> None:
    crashes = entry.crashes + 1
    try:
        if max_attempts is not None and crashes >= max_attempts:
            times = "once" if crashes == 1 else f"{crashes} times"
            why = f"the process died {times} while it had this item in hand"
            folder.bury(entry, Reason(why, crashes, time.time()))
            logger.error("%s: item %d is a dead letter: %s", folder.path, entry.number, why)
        else:
            folder.crashed(entry)
    except OSError as error:
        logger.warning("%s: an item cannot be moved out of %s: %s", folder.path, LEASED, error)


def _is_sound(entry: Entry, summary: Summary) -> bool:
    if entry.place == CORRUPT:
        summary.lose("corrupt")
        return False
    return True
