"""Publishes to a drift monitor until it is killed: arguments are the database and how many seconds its flush interval has.

Prints after each publication how many events were published, the n-th with the id n, and how many are in the database.
"""

import asyncio
import itertools
import sys

import numpy as np
from drift_store_fixtures import NOW, WIDTH, baseline

from aiohooks.monitors.drift.monitor import DriftMonitor


async def main() -> None:
    path, flush_interval = sys.argv[1:3]
    async with DriftMonitor(baseline(), path, flush_interval=float(flush_interval), clock=lambda: NOW) as monitor:
        for start in itertools.count(0, 50):
            ids = list(range(start, start + 50))
            features = np.random.default_rng(start).normal(size=(50, WIDTH))
            await monitor.publish({"features": features, "id": ids, "timestamp": [NOW - 60 * (i % 500) for i in ids]})
            print(start + 50, monitor.counts.written, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
