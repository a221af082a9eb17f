"""What it takes to accept 100 KB durably: the spool, beside a bare write, fsync and rename of the same bytes.

The bare contenders do that in the calling thread, so that nothing is in it but the file system. What a spool has accepted is delivered
before the next turn, outside of the measurement.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import alternation
import options
import tables

from aiohooks import Spool
from aiohooks.delivery.item import Item
from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.policies import Fsync

PAYLOAD = os.urandom(100_000)
LEAST = 32


class Bare:
    """Files that are written elsewhere and renamed to where they count.

    Args:
        folder: for the files.
        force: whether the disk has the file before it is renamed, and its name after.
    """

    def __init__(self, folder: Path, *, force: bool) -> None:
        self.force = force
        self.taken: list[float] = []
        self.tmp, self.ready = f"{folder}/tmp/", f"{folder}/ready/"
        for path in (self.tmp, self.ready):
            os.makedirs(path)

    async def burst(self, count: int) -> float:
        taken = [self.timed(str(i)) for i in range(count)]
        for i in range(count):
            os.unlink(self.ready + str(i))
        self.taken += taken
        return sum(taken)

    def timed(self, name: str) -> float:
        start = time.perf_counter()
        file = os.open(self.tmp + name, os.O_WRONLY | os.O_CREAT, 0o666)
        os.write(file, PAYLOAD)
        if self.force:
            os.fsync(file)
        os.close(file)
        os.rename(self.tmp + name, self.ready + name)
        if self.force:
            folder = os.open(self.ready, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return time.perf_counter() - start


class Spooled:
    """A spool that is emptied after each turn."""

    def __init__(self, store: OpenSpool) -> None:
        self.store = store
        self.taken: list[float] = []

    async def burst(self, count: int) -> float:
        items = [Item.new(PAYLOAD) for _ in range(count)]
        taken = []
        for item in items:
            start = time.perf_counter()
            await self.store.put(item)
            taken.append(time.perf_counter() - start)
        for _ in range(count):
            await self.store.ack(await self.store.lease())
        self.taken += taken
        return sum(taken)


async def main() -> None:
    given = options.parse(__doc__)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        async with AsyncExitStack() as open_ones:

            async def spool(fsync: Fsync) -> Spooled:
                return Spooled(await open_ones.enter_async_context(Spool(f"{folder}/{fsync}", fsync=fsync).open()))

            contenders = {
                "bare, fsync": Bare(Path(folder, "bare-fsync"), force=True),
                "spool, fsync always": await spool("always"),
                "bare, no fsync": Bare(Path(folder, "bare"), force=False),
                "spool, fsync interval": await spool("interval"),
                "spool, fsync never": await spool("never"),
            }
            await alternation.alternate(
                {name: contender.burst for name, contender in contenders.items()},
                rounds=given.rounds, seconds=given.seconds, least=LEAST,
            )  # fmt: skip
    rows = [row(name, contender.taken) for name, contender in contenders.items()]
    print(f"\n100 KB accepted  (milliseconds, over {given.rounds} alternating rounds)")
    print(f"{'':<24}{'median':>10}{'90 %':>10}{'99 %':>10}{'items':>10}")
    for one in rows:
        print(
            f"{one['what']:<24}{one['median_ms']:>10.3f}{one['p90_ms']:>10.3f}{one['p99_ms']:>10.3f}{one['items']:>10,}"
        )
    tables.save("spool", given.json, rows)


def row(what: str, taken: Sequence[float]) -> dict[str, float | str]:
    marks = statistics.quantiles(taken, n=100)
    return {
        "what": what,
        "median_ms": marks[49] * 1e3,
        "p90_ms": marks[89] * 1e3,
        "p99_ms": marks[98] * 1e3,
        "items": len(taken),
    }


if __name__ == "__main__":
    asyncio.run(main())
