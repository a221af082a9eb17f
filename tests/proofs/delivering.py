"""A program that a soak kills again and again: a hook that keeps events in a spool and posts them.

python delivering.py SPOOL URL LEDGER COUNT

shows a hook each event of 0 … COUNT - 1 that is not in the ledger, notes in the ledger each that was accepted, with its key, and ends once
all are delivered.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np

from aiohooks.delivery.delivery import Delivery
from aiohooks.delivery.spool import Spool
from aiohooks.frame import Frame
from aiohooks.hooks.actions import HttpRequestAction
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import OutcomeFeed, OutcomeKind, Outcomes
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.hooks.triggers import AlwaysTrigger
from aiohooks.prediction import Prediction

MAX_ITEMS = 100
MAX_BYTES = 4 * 1024 * 1024
PICTURE_BYTES = 30_000
PER_SECOND = 33


async def main(spool: str, url: str, ledger: Path, indices: Sequence[int]) -> None:
    hook = PostInferenceHook(
        trigger=AlwaysTrigger(),
        action=HttpRequestAction(url, "POST", include_image="multipart", timeout=0.4, log_level="debug"),
        delivery=Delivery(
            Spool(spool, max_items=MAX_ITEMS, max_bytes=MAX_BYTES),
            max_concurrency=8,
            first_backoff=0.05,
            longest_backoff=0.5,
        ),
    )
    feed = OutcomeFeed()
    running = RunningHook(hook, feed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(note, feed.subscribe(100_000), ledger)
        running.start(tasks.start_soon)
        print("ready", flush=True)
        for index in indices:
            await running.see(frame(index), Prediction.classification((4, 4), ["cat"], [0.9], [0]))
            await anyio.sleep(1 / PER_SECOND)
        await running.drained()
        await running.delivered()
        assert running.delivery is not None
        print(await running.delivery.status(), running.delivery.counts, flush=True)
        await running.aclose()
        feed.end()


async def note(outcomes: Outcomes, ledger: Path) -> None:
    with ledger.open("ab", buffering=0) as file:
        async for outcome in outcomes:
            if outcome.kind is OutcomeKind.DONE:
                file.write(f"{outcome.frame_index} {outcome.value.key}\n".encode())
    assert not outcomes.missed


def frame(index: int) -> Frame:
    picture = b"\xff\xd8\xff" + os.urandom(PICTURE_BYTES)
    return Frame(np.zeros((4, 4, 3), np.uint8), "camera", index, encoded=picture, owned=True)


if __name__ == "__main__":
    ledger = Path(sys.argv[3])
    noted = {int(line.split()[0]) for line in ledger.read_text().splitlines()} if ledger.exists() else set()
    asyncio.run(main(sys.argv[1], sys.argv[2], ledger, sorted(set(range(int(sys.argv[4]))) - noted)))
