"""Contenders take turns in one process, so that what else the machine does hits all of them alike."""

import gc
import time
from collections.abc import Awaitable, Callable, Mapping

Burst = Callable[[int], Awaitable[float | None]]
"""Does the work that many times; returns the seconds that count if those are not all that it takes."""


async def alternate(
    contenders: Mapping[str, Burst], *, rounds: int, seconds: float, least: int = 8
) -> dict[str, list[float]]:
    """Return what one piece of work took in each round, in seconds, for every contender.

    A burst is as long as the slowest contender needs to fill ``seconds``, at least ``least`` pieces; each contender
    starts as many rounds as any other.

    Args:
        contenders: by name.
        rounds: how often each has its turn.
        seconds: how long a turn should take.
        least: pieces of work in a turn at least.
    """
    count = least
    for burst in contenders.values():
        await burst(least)  # warm-up
    slowest = max([await _seconds_each(burst, least) for burst in contenders.values()])
    count = max(least, round(seconds / slowest))
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for _ in range(rounds):
        for name in order:
            taken[name].append(await _seconds_each(contenders[name], count))
        order.append(order.pop(0))
    return taken


async def _seconds_each(burst: Burst, count: int) -> float:
    gc.collect()
    start = time.perf_counter()
    seconds = await burst(count)
    return (time.perf_counter() - start if seconds is None else seconds) / count
