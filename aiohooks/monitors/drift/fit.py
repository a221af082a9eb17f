"""What `DriftBaseline.fit` fits on: pictures that a deployment infers, or events that a monitor kept."""

from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks.deployment import Deployment
from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.image_statistics import IMAGE_NUMBERS, measure
from aiohooks.monitors.drift.kept_events import side_by_side
from aiohooks.monitors.drift.observation import Observation, observe, probabilities_of
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.ood.collect import collect
from aiohooks.monitors.progress import Progress, shown
from aiohooks.prediction import Prediction
from aiohooks.sources import Pictures

_AT_ONCE = 256


class _Gathered:
    """Probabilities and numbers of pictures, in the order in which they come."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._waiting: list[Observation] = []
        self._probabilities: list[NDArray[np.float32]] = []
        self._numbers: dict[str, list[NDArray[np.float64]]] = {name: [] for name in IMAGE_NUMBERS}

    def see(self, frame: Frame, prediction: Prediction) -> None:
        self._waiting.append(observe(frame, prediction))
        if len(self._waiting) == _AT_ONCE:
            self._measure()

    def _measure(self) -> None:
        if not self._waiting:
            return
        if self._classes:
            self._probabilities.append(probabilities_of(self._waiting, self._classes))
        for name, values in measure([one.picture for one in self._waiting]).items():
            self._numbers[name].append(values)
        self._waiting.clear()

    def with_features(self, features: NDArray[np.float32]) -> EventArrays:
        self._measure()
        probabilities = np.concatenate(self._probabilities) if self._probabilities else None
        numbers = {name: np.concatenate(values) for name, values in self._numbers.items()}
        return EventArrays.of(features, probabilities, numbers)


async def pictured_events(
    deployment: Deployment,
    pictures: Pictures,
    *,
    what: str = "baseline",
    progress: bool | Progress | None = None,
    also: Callable[[Frame, Prediction], None] | None = None,
) -> EventArrays:
    """Infer pictures, and return what a monitor on this deployment would know of them.

    Pictures that cannot be read or inferred are left out, counted and logged. Hooks and monitors do not see them.

    Args:
        deployment: open.
        pictures: anything that `Deployment.stream` takes; a folder is read with its subfolders.
        what: the pictures are called in messages.
        progress: True shows a bar in a terminal; a function is called after each picture.
        also: called with every frame and prediction.

    Raises:
        SpecError: the deployment gives no features, or none of the pictures could be inferred.
    """
    gathered = _Gathered(len(deployment.labels))

    def see(frame: Frame, prediction: Prediction) -> None:
        gathered.see(frame, prediction)
        if also is not None:
            also(frame, prediction)

    with shown(progress) as show:
        collected = await collect(deployment, pictures, what=what, progress=show, seen=see)
    return await anyio.to_thread.run_sync(gathered.with_features, collected.features)


def kept_events(database: Path, since: float, until: float) -> EventArrays:
    """Return the events of a period that a monitor with ``keep_events`` kept, to take them for a baseline. Blocks.

    Args:
        database: of the monitor; it may be open.
        since: beginning of the period, in seconds since the epoch.
        until: its end.

    Raises:
        LoadError: the file is no such database.
        SpecError: there are no events of that period.
    """
    store = DriftStore.read(database)
    try:
        kept = list(store.kept(since, until))
    finally:
        store.close()
    if not kept:
        raise SpecError(
            f"{database}: no events are kept of that period; a monitor keeps them with keep_events=True, for as long as its retention says"
        )
    features, probabilities, numbers = side_by_side(kept)
    return EventArrays.of(
        features, probabilities, {name: values for name, values in numbers.items() if name != "ood_score"}
    )
