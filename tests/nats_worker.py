"""A worker on another machine, as far as a spool on NATS can tell: leases, notes what it got, acknowledges.

Arguments: address of the server, stream, file to note in, and "hold" to never acknowledge.
"""

import asyncio
import hashlib
import sys
from pathlib import Path

from aiohooks.delivery.nats import NatsSpool


async def main() -> None:
    server, stream, path, hold = *sys.argv[1:4], "hold" in sys.argv[4:]
    async with NatsSpool((server,), stream=stream, ack_wait=2.0, timeout=60).open() as store:
        with Path(path).open("a", buffering=1) as notes:  # noqa: ASYNC230

            async def work() -> None:
                while True:
                    lease = await store.lease()
                    digest = hashlib.sha256(lease.item.payload).hexdigest()
                    notes.write(f"{lease.item.key} {digest} {lease.attempt}\n")
                    print(lease.item.key, flush=True)
                    if hold:
                        await asyncio.Event().wait()
                    await store.ack(lease)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(4):
                    tasks.create_task(work())


if __name__ == "__main__":
    asyncio.run(main())
