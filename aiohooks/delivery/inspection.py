"""What is in a spool's folder, seen from outside, while a process may be at work in it."""

import contextlib
import time
from pathlib import Path

import msgspec

from aiohooks.delivery.folder_lock import Owner, read_owner
from aiohooks.delivery.item import Status
from aiohooks.delivery.layout import CORRUPT, DEAD, LEASED, LOCK, READY, SUMMARY, is_spool, parse_item_name
from aiohooks.delivery.record import MOST_HEAD_BYTES, CorruptRecordError, decode_head
from aiohooks.delivery.summary import read_summary
from aiohooks.errors import DeliveryError


class Inspection(msgspec.Struct, frozen=True):
    """What is in a spool's folder.

    Attributes:
        folder: which.
        owner: the process that has it, or had it when it died; None if the last one left in order.
        status: its items; among those that are ready are delayed ones and, unless the spool has `max_attempts`, leased ones;
            the counts may be a second old.
        corrupt: files in quarantine.
        oldest_dead_seconds: age of the oldest dead letter; None if there is none.
    """

    folder: str
    owner: Owner | None
    status: Status
    corrupt: int
    oldest_dead_seconds: float | None


def inspect(folder: Path) -> Inspection:
    """Look at a folder without changing anything. Blocks.

    Raises:
        DeliveryError: it is not the folder of a spool, or cannot be read.
    """
    check_spool(folder)
    summary = read_summary(folder / SUMMARY)
    try:
        ready, leased, dead, corrupt = (_files(folder / place) for place in (READY, LEASED, DEAD, CORRUPT))
    except OSError as error:
        raise DeliveryError(f"{folder}: it cannot be read: {error}") from error
    waiting = sorted([*ready, *leased], key=lambda file: file[0].name)
    status = Status(
        ready=len(ready),
        leased=len(leased),
        delayed=0,
        dead=len(dead),
        nbytes=sum(nbytes for _, nbytes in [*waiting, *dead]),
        oldest_seconds=_age(waiting),
        accepted=summary.accepted,
        delivered=summary.delivered,
        lost=dict(summary.lost),
    )
    return Inspection(str(folder), read_owner(folder / LOCK), status, len(corrupt), _age(dead))


def check_spool(folder: Path) -> None:
    """Check that this is the folder of a spool.

    Raises:
        DeliveryError: it is not.
    """
    if not is_spool(folder):
        raise DeliveryError(
            f"{folder}: {'it is not the folder of a spool' if folder.exists() else 'there is no such folder'}"
        )


def _files(folder: Path) -> list[tuple[Path, int]]:
    found = []
    for path in sorted(folder.iterdir()):
        if parse_item_name(path.name):
            with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                found.append((path, path.stat().st_size))
    return found


def _age(files: list[tuple[Path, int]]) -> float | None:
    for path, nbytes in files:
        try:
            with path.open("rb") as file:
                head = decode_head(file.read(MOST_HEAD_BYTES), nbytes)
        except (FileNotFoundError, CorruptRecordError):
            continue
        return max(0.0, time.time() - head.accepted_at)
    return None
