"""A store on disk."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.policies import Fsync, Full
from aiohooks.fields import check_fields

AtLeastOne = Annotated[int, Meta(ge=1)]


class Spool(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A folder that holds items until they are delivered: each accepted one at least once, also after a crash.

    Attributes:
        folder: where; made if it is missing. One process at a time can have it open.
        fsync: when items are forced to the disk. A killed process loses nothing in any case; a power loss costs nothing with
            ``always``, about the last second with ``interval``, and what the system had not written yet with ``never``.
        max_bytes: bytes of all files, dead letters included, above 0.
        max_items: items, dead letters included, at least 1.
        full: what happens to an item for which there is no room, here or on the disk. ``block`` waits for room, ``raise``
            raises `DeliveryError`, ``drop_newest`` drops it, and ``drop_oldest`` the oldest dead letters first, then the
            oldest items; what is dropped is counted.
        max_attempts: an item becomes a dead letter when processes have died this often while they had it leased; None: never.
            Ordinary failures of delivery do not count. Keeping track costs a rename for each attempt.

    Raises:
        SpecError: a value is out of its range.
    """

    folder: str
    fsync: Fsync = "interval"
    max_bytes: AtLeastOne = 10 * 1024**3
    max_items: AtLeastOne = 100_000
    full: Full = "block"
    max_attempts: AtLeastOne | None = None

    def __post_init__(self) -> None:
        if isinstance(self.folder, os.PathLike):
            msgspec.structs.force_setattr(self, "folder", os.fspath(self.folder))
        check_fields(self)

    def open(self) -> OpenSpool:
        """Return the store, which is open within ``async with``.

        Raises:
            DeliveryError: on entering, if another process has the folder, or it cannot be used.
        """
        return OpenSpool(
            Path(self.folder), fsync=self.fsync, max_bytes=self.max_bytes, max_items=self.max_items, full=self.full,
            max_attempts=self.max_attempts,
        )  # fmt: skip
