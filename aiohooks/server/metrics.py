"""What the server counts, for Prometheus."""

from collections.abc import Iterable

from aiohttp import web

from aiohooks.server.exposition import CONTENT_TYPE, Family, text_of
from aiohooks.server.serving import Serving
from aiohooks.server.tally import Tally, outcome_of

PATH = "/metrics"


def routes(serving: Serving, tally: Tally) -> Iterable[web.RouteDef]:
    """Return the address."""

    async def metrics(_: web.Request) -> web.Response:
        text = text_of(families(serving, tally))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get(PATH, metrics)]


def families(serving: Serving, tally: Tally) -> list[Family]:
    """Return all that is counted, as it is now."""
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
    for served in serving:
        name = served.name
        pending.add(served.admission.waiting, deployment=name, state="waiting")
        pending.add(served.admission.running, deployment=name, state="running")
        queue.add_histogram(served.queue_seconds, deployment=name)
        inference.add_histogram(served.inference_seconds, deployment=name)
        streams.add(served.streams.running, deployment=name)
    bodies = Family("aiohooks_body_bytes", "gauge", "Bodies of requests that are held in memory.")
    bodies.add(serving.bodies.held_bytes)
    return [requests, under_way, pending, queue, inference, streams, bodies]
