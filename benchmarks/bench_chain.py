"""A Geti project of three tasks, detect → detect → classify: one frame after the other against a stream of them.

Both take turns in one process, on the same deployment. Every frame has two boxes, each of these has two in it, and the four are
classified: seven inferences a frame.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

import alternation
import geti_folder
import models
import options
import tables
from bench_inference import one_by_one

from aiohooks import Deployment

SIZE = models.VGA


async def main() -> None:
    given = options.parse(__doc__)
    detector = models.almost_empty_detector
    last = {"empty classifier": models.almost_empty_classifier(), "conv net": models.convolutional_classifier()}
    rows: list[dict[str, object]] = []
    print(
        f"{'classified by':<20}{'one by one, ms':>16}{'streamed, ms':>14}{'ratio':>8}  (medians of {given.rounds} rounds)"
    )
    for name, classifier in last.items():
        with tempfile.TemporaryDirectory() as folder:
            geti_folder.write(Path(folder), detector(), detector(), classifier)
            rows.append(await measured(name, Path(folder), given))
    tables.save("chain", given.json, rows)


async def measured(name: str, folder: Path, given: options.Options) -> dict[str, object]:
    """Print and return what a frame takes in both ways, and the ratio, which is the median of the rounds' own."""
    frames = models.noise(SIZE)
    async with Deployment.load(folder) as deployment:

        async def streamed(count: int) -> None:
            async for result in deployment.stream(frames[index % len(frames)] for index in range(count)):
                if result.error is not None:
                    raise result.error

        contenders = {"one by one": one_by_one(deployment, frames), "streamed": streamed}
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=given.seconds, least=16)
    alone, together = taken["one by one"], taken["streamed"]
    ratio = statistics.median(one / other for one, other in zip(alone, together, strict=True))
    alone_ms, together_ms = statistics.median(alone) * 1e3, statistics.median(together) * 1e3
    print(f"{name:<20}{alone_ms:>16.2f}{together_ms:>14.2f}{ratio:>8.2f}", flush=True)
    return {"chain": name, "one_by_one_ms": alone_ms, "streamed_ms": together_ms, "ratio": ratio}


if __name__ == "__main__":
    asyncio.run(main())
