"""A process that works with a spool and says what it did, for tests that kill it or let its system calls fail.

python spool_process.py FOLDER [--full POLICY] [--mutant NAME] [--noted]

Each line on standard output is one system call: a word, and the number of an item.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import anyio

from aiohooks.delivery import admission, recent, spool_folder
from aiohooks.delivery.item import Item
from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.spool import Spool
from aiohooks.errors import DeliveryError

PAYLOAD_BYTES = 5000  # more than a page
WORKED_ON = range(4)
DRAINED = range(2)


def item(number: int) -> Item:
    return Item(f"{number:032x}", "cam", 0.0, bytes([number]) * PAYLOAD_BYTES)


def say(word: str, number: int | str) -> None:
    os.write(1, f"{word} {number}\n".encode())


async def work(store: OpenSpool) -> None:
    """Every way of an item through the spool; what is leased counts as delivered at once."""
    for number in WORKED_ON:
        say("puts", number)
        assert await store.put(item(number))
        say("accepted", number)
    lease = await leased(store)
    await store.ack(lease)
    say("acked", 0)
    await store.nack(await leased(store), delay=0, reason="503")
    await store.bury(await leased(store), reason="400")
    say("buried", 1)
    await store.ack(await leased(store))
    say("acked", 2)
    try:
        await store.replay()
        say("replayed", 1)
    except DeliveryError:
        say("refused", 1)
    await leased(store)


async def leased(store: OpenSpool) -> Any:
    lease = await store.lease()
    say("delivers", int(lease.item.key, 16))
    return lease


async def drained(store: OpenSpool) -> None:
    while (status := await store.status()).ready:
        lease = await store.lease()
        assert lease.item == item(int(lease.item.key, 16))
        await store.ack(lease)
        say("drained", int(lease.item.key, 16))
    say("status", json.dumps({"lost": status.lost, "nbytes": status.nbytes}))


def in_place(part: str, path: str, pieces: Sequence[bytes], *, force: bool) -> None:
    """What is wrong with this: a reader, or the next start, finds half an item."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    for piece in pieces:
        os.write(file, piece)
    os.fsync(file)
    os.close(file)


def without_file_fsync(part: str, path: str, pieces: Sequence[bytes], *, force: bool) -> None:
    """What is wrong with this: after a power loss the name is there, and the content is not."""
    durably(part, path, pieces, force=False)


durably = spool_folder.write_durably
MUTANTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "in-place": lambda: setattr(spool_folder, "write_durably", in_place),
    "no-file-fsync": lambda: setattr(spool_folder, "write_durably", without_file_fsync),
    "no-folder-fsync": lambda: setattr(spool_folder, "fsync_folder", lambda path: None),
}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--full", default="block")
    parser.add_argument("--mutant", choices=MUTANTS, default="none")
    parser.add_argument("--noted", action="store_true", help="note on disk what is leased, and keep nothing in memory")
    parser.add_argument("--drain", action="store_true", help="deliver everything after that, and tell the status")
    given = parser.parse_args()
    MUTANTS[given.mutant]()
    admission.RETRY_SECONDS = 0.001
    if given.noted:
        recent.MOST_BYTES = 0
    spool = Spool(given.folder, fsync="always", full=given.full, max_attempts=100 if given.noted else None)
    store = spool.open()
    try:
        await store.__aenter__()
    except DeliveryError:
        say("unusable", 0)
        return
    async with aclosing(store):
        if given.drain:
            for number in DRAINED:
                try:
                    say("accepted" if await store.put(item(number)) else "dropped", number)
                except DeliveryError:
                    say("refused", number)
            await drained(store)
        else:
            await work(store)


if __name__ == "__main__":
    anyio.run(main)
