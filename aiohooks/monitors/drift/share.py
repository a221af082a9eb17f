"""Monitors on several machines tell each other what they saw, through a store of `aiohooks.delivery`: a folder, or NATS.

Machines with cameras run `send_changes` in a task, the one that looks at all of them runs `take_changes`, both with a store such as
``NatsSpool(("nats://hub:4222",), stream="drift").open()``.
"""

import logging
from typing import NoReturn

import anyio

from aiohooks.delivery.item import Item, Store
from aiohooks.errors import DeliveryError, LoadError, SpecError
from aiohooks.monitors.drift.monitor import DriftMonitor

logger = logging.getLogger("aiohooks.monitors")

RETRY_SECONDS = 30.0
"""After which it is tried again where a disk was full."""


async def send_changes(monitor: DriftMonitor, store: Store, *, every: float = 30.0) -> NoReturn:
    """Put what a monitor has seen into a store, again and again until cancelled; each change at least once, also across crashes.

    Args:
        monitor: open; it tells what it saw itself, not what it took from others.
        store: open; one who takes from it gets everything. It may hold what waits for a machine that is away.
        every: seconds in between.

    Raises:
        DeliveryError: the store is closed, or the monitor's database cannot be read.
        DeploymentError: the monitor is closed.
    """
    while True:
        sent = await monitor.sent()
        async for data, revision in monitor.export(sent):
            if not await store.put(Item.new(data, source=monitor.name)):
                break  # the store is full, and has dropped and counted it; what was not sent is sent later
            await monitor.set_sent(revision)
        await anyio.sleep(every)


async def take_changes(monitor: DriftMonitor, store: Store) -> NoReturn:
    """Merge what other monitors put into a store, as it comes, until cancelled. What cannot be merged becomes a dead letter.

    Args:
        monitor: open, with the same baseline.
        store: open.

    Raises:
        DeliveryError: the store is closed.
        DeploymentError: the monitor is closed.
    """
    while True:
        lease = await store.lease()
        try:
            await monitor.merge(lease.item.payload)
        except (LoadError, SpecError) as error:
            logger.warning(
                "drift monitor %s: what came from %r cannot be merged: %s", monitor.name, lease.item.source, error
            )
            await store.bury(lease, reason=str(error))
        except DeliveryError as error:
            await store.nack(lease, delay=RETRY_SECONDS, reason=str(error))
        else:
            await store.ack(lease)
