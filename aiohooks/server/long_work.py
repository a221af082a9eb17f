"""Work that may take over a millisecond, which nothing on the event loop may: it is done in a worker thread then."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio.to_thread

from aiohooks.prediction import Prediction

T = TypeVar("T")

MANY_OBJECTS = 50
"""So many become JSON in about half a millisecond."""


async def in_thread_if(is_long: bool, work: Callable[[], T]) -> T:
    """Do what may take long in a worker thread, and everything else at once, which is quicker."""
    return await anyio.to_thread.run_sync(work) if is_long else work()


def take_long(predictions: Iterable[Prediction]) -> bool:
    """Tell whether predictions take over a millisecond to be written as JSON: they hold outlines, masks, or many objects."""
    objects = 0
    for prediction in predictions:
        objects += max(len(prediction), len(prediction.scores))
        if objects > MANY_OBJECTS or not (
            prediction.polygons is None and prediction.masks is None and prediction.label_map is None
        ):
            return True
    return False
