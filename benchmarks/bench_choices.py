"""Which performance hint, how many requests, how many frames in flight: latency and throughput of each choice.

The choices take turns in one process; each has its own compiled model.
"""

import asyncio
import statistics
from contextlib import AsyncExitStack
from dataclasses import replace

import alternation
import models
import options
import tables
from bench_inference import one_by_one

from aiohooks import Deployment

HINTS = {"THROUGHPUT": (1, 2, 4, 8), "LATENCY": (1, 2, 4)}
QUICK_HINTS = {"THROUGHPUT": (2, 4), "LATENCY": (1,)}
IN_FLIGHT = (2, 4, 8, 16)
QUICK_IN_FLIGHT = (4, 8)
DEFAULT_REQUESTS = 4


async def main() -> None:
    given = options.parse(__doc__)
    given = replace(given, seconds=given.seconds / 2)
    cases = [models.synthetic()[2], (await models.real())[0]]
    rows: list[dict[str, object]] = []
    for case in cases[1:] if given.quick else cases:
        rows += await hints(case, given)
        rows += await frames_in_flight(case, given)
    tables.save("choices", given.json, rows)


async def hints(case: models.Case, given: options.Options) -> list[dict[str, object]]:
    latency: dict[str, alternation.Burst] = {}
    throughput: dict[str, alternation.Burst] = {}
    async with AsyncExitStack() as opened:
        for hint, counts in (QUICK_HINTS if given.quick else HINTS).items():
            for requests in counts:
                deployment = Deployment.load(case.source, performance_hint=hint, max_requests=requests, **case.options)
                await opened.enter_async_context(deployment)
                latency[f"{hint}, {requests}"] = one_by_one(deployment, case.frames)
                throughput[f"{hint}, {requests}"] = streamed(deployment, case, None)
        alone = await alternation.alternate(latency, rounds=given.rounds, seconds=given.seconds)
        together = await alternation.alternate(throughput, rounds=given.rounds, seconds=given.seconds, least=16)
    return show(f"{case.name}: hint and requests", alone, together)


async def frames_in_flight(case: models.Case, given: options.Options) -> list[dict[str, object]]:
    async with Deployment.load(case.source, max_requests=DEFAULT_REQUESTS, **case.options) as deployment:
        choices = {
            f"{count} in flight": streamed(deployment, case, count)
            for count in (QUICK_IN_FLIGHT if given.quick else IN_FLIGHT)
        }
        taken = await alternation.alternate(choices, rounds=given.rounds, seconds=given.seconds, least=16)
    return show(f"{case.name}: frames in flight, THROUGHPUT, {DEFAULT_REQUESTS} requests", {}, taken)


def streamed(deployment: Deployment, case: models.Case, max_in_flight: int | None) -> alternation.Burst:
    async def burst(count: int) -> None:
        frames = [case.frames[index % len(case.frames)] for index in range(count)]
        async for _ in deployment.stream(frames, max_in_flight=max_in_flight):
            pass

    return burst


def show(title: str, alone: dict[str, list[float]], together: dict[str, list[float]]) -> list[dict[str, object]]:
    """Print and return latency and throughput of each choice."""
    print(f"\n{title}  (medians of {len(next(iter(together.values())))} rounds)")
    print(f"{'choice':<20}{'one by one, ms':>16}{'streamed, frames/s':>20}")
    rows: list[dict[str, object]] = []
    for choice, seconds in together.items():
        milliseconds = statistics.median(alone[choice]) * 1e3 if choice in alone else None
        rate = 1 / statistics.median(seconds)
        print(f"{choice:<20}{'' if milliseconds is None else f'{milliseconds:.2f}':>16}{rate:>20.1f}", flush=True)
        rows.append({"title": title, "choice": choice, "one_by_one_ms": milliseconds, "frames_per_second": rate})
    return rows


if __name__ == "__main__":
    asyncio.run(main())
