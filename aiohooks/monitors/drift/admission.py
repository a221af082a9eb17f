"""Which events are drawn as examples while they come, so that pictures are made of few of them only."""

import heapq
import random

from aiohooks.monitors.drift.bin import start_of
from aiohooks.monitors.drift.example import KEPT, draw_key

_MOST_WINDOWS = 1024


class Admission:
    """The keys of the examples of the latest minutes: an event whose key is not among the highest would not stay."""

    def __init__(self) -> None:
        self._keys: dict[tuple[int, str], list[float]] = {}

    def draw(self, time: float, segment: str, weight: float) -> float | None:
        """Return the key of an event that is to be an example of its minute, for now; None for one that is not.

        Args:
            time: of the event, in seconds since the epoch.
            segment: of the event.
            weight: how much sooner it is drawn than others.
        """
        key = draw_key(weight, 1.0 - random.random())
        window = (start_of(time, "minute"), segment)
        keys = self._keys.get(window)
        if keys is None:
            if len(self._keys) >= _MOST_WINDOWS and not self._make_room(window[0]):
                return None
            keys = self._keys[window] = []
        if len(keys) < KEPT["minute"]:
            heapq.heappush(keys, key)
        elif key > keys[0]:
            heapq.heapreplace(keys, key)
        else:
            return None
        return key

    def _make_room(self, minute: int) -> bool:
        """Forget the minutes before; say whether that was of use."""
        self._keys = {window: keys for window, keys in self._keys.items() if window[0] >= minute}
        return len(self._keys) < _MOST_WINDOWS
