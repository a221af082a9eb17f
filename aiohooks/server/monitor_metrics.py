"""What the monitors of deployments have seen and measured."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

from aiohooks.metric_family import Family
from aiohooks.monitor import AttachedMonitor, Monitor
from aiohooks.server.serving import Serving

logger = logging.getLogger("aiohooks.server")


def of_monitors(serving: Serving) -> list[Family]:
    """Return what is counted of monitors, and what those with a method ``metrics`` tell of themselves.

    A monitor that is attached to several deployments is asked once.
    """
    seen = Family("aiohooks_monitor_predictions_total", "counter", "Predictions that were shown to a monitor.")
    failed = Family("aiohooks_monitor_failed_total", "counter", "Predictions on which a monitor failed.")
    scores = Family(
        "aiohooks_ood_score", "histogram", "OOD scores, 0 to 1: a share of 0.05 of normal pictures is above 0.5."
    )
    own: dict[int, list[Family]] = {}
    for served in serving:
        for name, attached in _named(served.deployment.monitors):
            labels = {"deployment": served.name, "monitor": name}
            seen.add(attached.seen, **labels)
            failed.add(attached.failed, **labels)
            if any(attached.ood_scores.counts):
                scores.add_histogram(attached.ood_scores, **labels)
            if id(attached.monitor) not in own:
                own[id(attached.monitor)] = _own(name, attached.monitor)
    return [seen, failed, scores, *(family for told in own.values() for family in told)]


def _own(name: str, monitor: Monitor) -> list[Family]:
    """Return what a monitor tells of itself; one that fails has nothing to tell."""
    try:
        return list(getattr(monitor, "metrics", tuple)())
    except Exception:
        logger.exception("monitor %s could not tell its metrics", name)
        return []


def _named(monitors: Iterable[AttachedMonitor]) -> Iterator[tuple[str, AttachedMonitor]]:
    """Yield monitors by their names, else those of their classes, each another one: the second ``OODModel`` is ``OODModel 2``."""
    found: Counter[str] = Counter()
    for attached in monitors:
        name = getattr(attached.monitor, "name", None) or type(attached.monitor).__name__
        found[name] += 1
        yield name if found[name] == 1 else f"{name} {found[name]}", attached
