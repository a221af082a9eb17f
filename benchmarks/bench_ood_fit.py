"""How much memory fitting an OOD model on many pictures takes at most, beside the features: they are streamed.

EfficientNet-Lite0 on VGA pictures, each a fresh array. What the process holds when fitting begins, with the network compiled and at
work, does not count; its peak is taken by the kernel (``VmHWM``), so this needs Linux.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import models
import numpy as np
import options
import tables
from numpy.typing import NDArray

from aiohooks import Deployment, OODModel
from aiohooks.text_table import table

PICTURES = 5_000
QUICK_PICTURES = 600
TARGET_MIB = 200.0


async def main() -> None:
    given = options.parse(__doc__)
    count = QUICK_PICTURES if given.quick else PICTURES
    lite0 = (await models.real())[0]
    async with Deployment.load(lite0.source, features=True) as deployment:
        await deployment.infer_many(pictures(lite0.frames, 100))
        reset_peak()
        before = memory("VmRSS")
        start = time.perf_counter()
        collected: list[float] = []

        def note(_what: str, done: int, _total: int) -> None:
            if done == count:
                collected.append(memory("VmHWM"))

        ood = await OODModel.fit(deployment, pictures(lite0.frames, count), progress=note)
        seconds = time.perf_counter() - start
    features = count * ood.width * 4 / 2**20
    row = {
        "model": "EfficientNet-Lite0",
        "pictures": count,
        "seconds": seconds,
        "features_mib": features,
        "streaming_mib": collected[0] - before - features,
        "peak_mib": memory("VmHWM") - before - features,
        "target_mib": TARGET_MIB,
    }
    verdict = "ok" if row["peak_mib"] <= TARGET_MIB else "MISSED"
    cells = [
        f"{count:,}",
        f"{seconds:.1f}",
        *(f"{row[name]:.0f}" for name in ("features_mib", "streaming_mib", "peak_mib")),
    ]
    head = ("pictures", "seconds", "features MiB", "beside them, streaming", "in all", "target", "")
    print("\n".join(table([head, (*cells, f"≤ {TARGET_MIB:g}", verdict)], right=range(6))))
    tables.save("ood_fit", given.json, [row])


def pictures(originals: list[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures at VGA, no two alike."""
    rng = np.random.default_rng(0)
    originals = [cv2.resize(picture, models.VGA[::-1]) for picture in originals]
    for index in range(count):
        shift = rng.integers(0, 256, 2)
        picture = np.roll(originals[index % len(originals)], shift, axis=(0, 1))
        yield cv2.convertScaleAbs(picture, alpha=rng.uniform(0.6, 1.2))


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> float:
    """Return a field of the process's status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    asyncio.run(main())
