"""What the server counts, for Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import anyio
from aiohttp import web

from aiohooks.delivery.item import Status
from aiohooks.errors import DeliveryError
from aiohooks.hooks.hook_delivery import HookDelivery
from aiohooks.metric_family import Family
from aiohooks.server.exposition import CONTENT_TYPE, text_of
from aiohooks.server.in_order import in_order
from aiohooks.server.monitor_metrics import of_monitors
from aiohooks.server.serving import Serving
from aiohooks.server.tally import Tally, outcome_of

PATH = "/metrics"


STATUS_SECONDS = 2.0
"""How long a spool may take to tell its state; one that takes longer is left out."""

_KINDS = (
    "not_fired",
    "trigger_failed",
    "skipped",
    "done",
    "failed",
    "timed_out",
    "rate_limited",
    "dropped",
    "cancelled",
)

MoreFamilies = Callable[[], Iterable[Family]]
"""Returns metrics of somebody else's, as they are now."""


def routes(serving: Serving, tally: Tally, more: Iterable[MoreFamilies] = ()) -> Iterable[web.RouteDef]:
    """Return the address, which tells more where somebody has more to tell."""
    others = tuple(more)

    async def metrics(_: web.Request) -> web.Response:
        told = [*of_requests(serving, tally), *of_hooks(serving), *of_monitors(serving), *await of_spools(serving)]
        for other in others:
            told += other()
        text = text_of(told)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get(PATH, metrics)]


def of_requests(serving: Serving, tally: Tally) -> list[Family]:
    """Return what is counted of requests."""
    requests = Family(
        "aiohooks_requests_total",
        "counter",
        "Requests that ended, by how; the status 499 stands for a client that left before its answer.",
    )
    for (protocol, deployment, status), count in sorted(tally.requests.items()):
        requests.add(count, protocol=protocol, deployment=deployment, outcome=outcome_of(status), code=str(status))
    under_way = Family("aiohooks_requests_under_way", "gauge", "Requests that have begun and not ended.")
    under_way.add(tally.under_way)
    pending = Family("aiohooks_requests_pending", "gauge", "Requests that wait for a place, and that hold one.")
    queue = Family("aiohooks_queue_seconds", "histogram", "How long requests waited for a place.")
    inference = Family(
        "aiohooks_inference_seconds", "histogram", "How long requests were decoded, inferred and handed to the hooks."
    )
    streams = Family("aiohooks_streams", "gauge", "Streams of frames that are open.")
    jobs = Family("aiohooks_jobs", "gauge", "Jobs at work, or whose files are being uploaded.")
    for served in serving:
        name = served.name
        pending.add(served.admission.waiting, deployment=name, state="waiting")
        pending.add(served.admission.running, deployment=name, state="running")
        queue.add_histogram(served.queue_seconds, deployment=name)
        inference.add_histogram(served.inference_seconds, deployment=name)
        streams.add(served.streams.running, deployment=name)
        jobs.add(served.jobs.running, deployment=name)
    bodies = Family("aiohooks_body_bytes", "gauge", "Bodies of requests that are held in memory.")
    bodies.add(serving.bodies.held_bytes)
    uploads = Family("aiohooks_upload_bytes", "gauge", "Bytes of uploads that are kept on disk.")
    uploads.add(serving.uploads.held_bytes)
    return [requests, under_way, pending, queue, inference, streams, jobs, bodies, uploads]


def of_hooks(serving: Serving) -> list[Family]:
    """Return what the hooks of all deployments have counted, those of one name together; the kinds are those of `HookCounts`."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for served in serving:
        for hook in served.deployment.hooks:
            counts = counted.setdefault((served.name, hook.name), Counter())
            counts.update({kind: getattr(hook.counts, kind) for kind in ("seen", *_KINDS)}, pending=hook.pending)
    frames = Family("aiohooks_hook_frames_total", "counter", "Frames that a hook saw.")
    outcomes = Family("aiohooks_hook_outcomes_total", "counter", "What became of the frames that a hook saw.")
    pending = Family("aiohooks_hook_pending", "gauge", "Frames and events that wait for a hook.")
    for (deployment, hook_name), counts in counted.items():
        labels = {"deployment": deployment, "hook": hook_name}
        frames.add(counts["seen"], **labels)
        pending.add(counts["pending"], **labels)
        for kind in _KINDS:
            outcomes.add(counts[kind], **labels, kind=kind)
    return [frames, outcomes, pending]


async def of_spools(serving: Serving) -> list[Family]:
    """Return what the spools of all hooks hold."""
    items = Family("aiohooks_spool_items", "gauge", "Items that are kept and not delivered, by what they wait for.")
    dead = Family("aiohooks_spool_dead_items", "gauge", "Items that were given up and can be replayed.")
    size = Family("aiohooks_spool_bytes", "gauge", "Bytes of all items that are kept.")
    age = Family("aiohooks_spool_oldest_age_seconds", "gauge", "Age of the oldest item that is not delivered.")
    delivered = Family("aiohooks_spool_delivered_total", "counter", "Items that were delivered.")
    lost = Family("aiohooks_spool_lost_total", "counter", "Items that were neither delivered nor are kept.")
    kept = [
        (hook.delivery, {"deployment": served.name, "hook": hook.name})
        for served in serving
        for hook in served.deployment.hooks
        if hook.delivery is not None
    ]
    statuses = await in_order(partial(_status, delivery) for delivery, _ in kept)
    for (_, labels), status in zip(kept, statuses, strict=True):
        if status is not None:
            for state, count in (("ready", status.ready), ("leased", status.leased), ("delayed", status.delayed)):
                items.add(count, **labels, state=state)
            dead.add(status.dead, **labels)
            size.add(status.nbytes, **labels)
            age.add(status.oldest_seconds or 0.0, **labels)
            delivered.add(status.delivered, **labels)
            for reason, count in status.lost.items():
                lost.add(count, **labels, reason=reason)
    return [items, dead, size, age, delivered, lost]


async def _status(delivery: HookDelivery) -> Status | None:
    with anyio.move_on_after(STATUS_SECONDS), suppress(DeliveryError):
        return await delivery.status()
    return None
