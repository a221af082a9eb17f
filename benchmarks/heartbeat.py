"""A heartbeat of an event loop: how much later than due it comes. As a program: of a loop that does nothing else."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Self

PERIOD = 0.001
"""Seconds that it sleeps between two beats."""


async def beat(seconds: float, on_beat: Callable[[float], None] | None = None) -> list[float]:
    """Beat for so long; returns by how many seconds each beat was late.

    Args:
        seconds: to beat.
        on_beat: told of each beat by how much it was late.
    """
    clock = asyncio.get_running_loop().time
    late: list[float] = []
    end = clock() + seconds
    while (start := clock()) < end:
        await asyncio.sleep(PERIOD)
        late.append(clock() - start - PERIOD)
        if on_beat is not None:
            on_beat(late[-1])
    return late


class Control:
    """The same heartbeat in a process of its own: what the machine does to anybody's loop."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def beat(self, seconds: float) -> list[float]:
        """Beat for so long; blocks meanwhile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(seconds, file=self._process.stdin, flush=True)
        late: list[float] = json.loads(self._process.stdout.readline())
        return late


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(beat(float(line)))), flush=True)
