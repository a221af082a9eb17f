"""A deployment on the page."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio

from aiohooks.deployment import Deployment
from aiohooks.errors import DeliveryError
from aiohooks.hooks.hook_delivery import HookDelivery
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.outcome import Outcomes
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.monitors.drift.monitor import DriftMonitor
from aiohooks.prediction import Task
from aiohooks.server.in_order import in_order
from aiohooks.server.live.collected import Collected
from aiohooks.server.live.drift_charts import DriftPictures
from aiohooks.server.live.score_floor import ScoreFloor
from aiohooks.server.live.thresholds import thresholds_of
from aiohooks.server.live.watch import Watch
from aiohooks.server.serving import Served

STATUS_SECONDS = 0.5
"""How long a spool may take to tell its state; one that takes longer is left out."""

OUTCOMES_AT_ONCE = 64
"""Of the outcomes between two looks at them the latest are seen; the counts tell of all."""

_COUNTS = (
    "seen", "not_fired", "trigger_failed", "skipped", "fired", "done", "failed", "timed_out", "rate_limited", "dropped", "cancelled",
)  # fmt: skip


class Shown:
    """A deployment on the page.

    Args:
        served: the deployment.
        came: called when an inference is there that can be drawn.
        takes_requests: whether somebody can send requests to it.

    Attributes:
        served: the deployment.
        watch: takes inferences and OOD scores while somebody watches.
        collected: what its hooks did last.
        drift: charts and alerts of its drift monitors, by their name.
        drift_version: grows with every change of them.
        floor: of the scores, if there is one.
    """

    def __init__(self, served: Served, came: Callable[[], None], *, takes_requests: bool = True) -> None:
        self.served = served
        self.takes_requests = takes_requests
        self.watch = Watch(came)
        self.collected = Collected()
        self.drift: dict[str, DriftPictures | str] = {}
        self.drift_version = 0
        self.floor: ScoreFloor | None = None
        self._outcomes: Outcomes | None = None
        self._before: tuple[float, int] | None = None
        self._about: dict[str, Any] = {"task": "model", "device": "", "slots": 0, "thresholds": {}}

    @property
    def deployment(self) -> Deployment:
        """The deployment."""
        return self.served.deployment

    @property
    def drift_monitors(self) -> list[DriftMonitor]:
        """The drift monitors that are attached."""
        return [one.monitor for one in self.deployment.monitors if isinstance(one.monitor, DriftMonitor)]

    def begin(self) -> None:
        """Look at what happens from now on."""
        if not self.deployment.is_open:
            return
        self.deployment.attach(self.watch)
        self._outcomes = self.deployment.outcomes(OUTCOMES_AT_ONCE)
        self._before = None
        about = self.deployment.describe()
        self._about = {
            "task": "model" if about.task is None else str(about.task),
            "device": ", ".join(about.devices),
            "slots": self.deployment.model.slots,
            "thresholds": _thresholds(about),
        }

    def end(self) -> None:
        """Look no more."""
        if self._outcomes is not None:
            self._outcomes = None
            self.deployment.detach(self.watch)
        self.watch.forget()

    def set_floor(self, min_score: float) -> None:
        """Have another lowest score; 0: none."""
        if self.floor is not None:
            self.deployment.detach(self.floor)
            self.floor = None
        if min_score > 0:
            self.floor = ScoreFloor(min_score)
            self.deployment.attach(self.floor)
        if self._outcomes is not None:  # what is watched is what is left
            self.deployment.detach(self.watch)
            self.deployment.attach(self.watch)

    def take_outcomes(self) -> None:
        """Take note of what the hooks have done since the last time."""
        if self._outcomes is not None:
            self.collected.add(self._outcomes.waiting())
            self.collected.forget_others({hook.name for hook in self.deployment.hooks})

    async def figures(self) -> dict[str, Any]:
        """Return how things are, as JSON; rates are those since the last time."""
        served, counts = self.served, self.deployment.counts
        now = anyio.current_time()
        before = self._before
        self._before = now, counts.done
        recent = sorted(counts.recent)
        scores = list(self.watch.scores)
        self.watch.scores.clear()
        hooks = self.deployment.hooks
        kept = {hook: hook.delivery for hook in hooks if hook.delivery is not None}
        spools = dict(zip(kept, await in_order(partial(_spool, delivery) for delivery in kept.values()), strict=True))
        return {
            "name": served.name,
            **self._about,
            "open": self.deployment.is_open,
            "picture_age": None if self.watch.picture.value is None else round(now - self.watch.seconds, 1),
            "rate": None if before is None or now <= before[0] else round((counts.done - before[1]) / (now - before[0]), 2),
            "p50": _milliseconds(recent, 0.5),
            "p95": _milliseconds(recent, 0.95),
            "done": counts.done,
            "failed": counts.failed,
            "under_way": counts.under_way,
            "waiting": served.admission.waiting,
            "running": served.admission.running,
            "streams": served.streams.running,
            "settings": {
                "places": served.admission.places if self.takes_requests else None,
                "room": served.admission.room if self.takes_requests else None,
                "min_score": 0.0 if self.floor is None else self.floor.min_score,
            },
            "hooks": [self._hook(index, hook, spools.get(hook)) for index, hook in enumerate(hooks)],
            "monitors": [
                {"name": getattr(one.monitor, "name", type(one.monitor).__name__), "seen": one.seen, "failed": one.failed}
                for one in self.deployment.monitors
                if one.monitor is not self.watch
            ],
            "ood": [round(score, 4) for score in scores],
            "drifting": {monitor.name: monitor.is_drifting for monitor in self.drift_monitors},
            "drift_version": self.drift_version,
        }  # fmt: skip

    def _hook(self, index: int, hook: RunningHook, spool: dict[str, Any] | None) -> dict[str, Any]:
        rate = hook.hook.rate
        return {
            "index": index,
            "name": hook.name,
            "trigger": name_of(hook.hook.trigger),
            "action": name_of(hook.hook.action),
            "paused": hook.paused,
            "pending": hook.pending,
            "counts": {name: getattr(hook.counts, name) for name in _COUNTS},
            "rate": None if rate is None else {"count": rate.count, "per": rate.per, "burst": rate.burst},
            "thresholds": thresholds_of(hook.hook.trigger),
            "outcomes": self.collected.outcomes_of(hook.name),
            "pictures": self.collected.pictures_of(hook.name),
            "is_alone": [other.name for other in self.deployment.hooks].count(hook.name) == 1,
            "spool": spool,
        }


async def _spool(delivery: HookDelivery) -> dict[str, Any]:
    told: dict[str, Any] = {"circuit": delivery.circuit}
    try:
        with anyio.fail_after(STATUS_SECONDS):
            status = await delivery.status()
    except (TimeoutError, DeliveryError) as error:
        return told | {"error": str(error)[:200] or "it does not answer"}
    return told | {
        "depth": status.ready + status.leased + status.delayed,
        "dead": status.dead,
        "bytes": status.nbytes,
        "age": None if status.oldest_seconds is None else round(status.oldest_seconds, 1),
        "delivered": status.delivered,
        "lost": sum(status.lost.values()),
    }


def _thresholds(about: ModelDescription) -> dict[str, Any]:
    """Return the thresholds by which the model itself leaves out what it sees; a classifier that gives the best class has none."""
    if about.task is Task.CLASSIFICATION and not about.parameters.get("multilabel"):
        return {}
    return {name: value for name, value in about.parameters.items() if name.endswith("threshold")}


def _milliseconds(ordered: list[float], share: float) -> float | None:
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None
