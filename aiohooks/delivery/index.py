"""Which items a spool holds and which is next: the decisions, without the files."""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain
from operator import attrgetter

from aiohooks.delivery.entry import Entry, State
from aiohooks.delivery.turns import Turns

_DUE_AT_ONCE = 64
"""Delayed items that become ready, at most, before one is taken."""

_STEP = 256
"""Items that are revived before other work has its turn."""


class Index:
    """The items of a spool by their state, under two bounds.

    Args:
        max_items: items, dead ones too.
        max_bytes: their bytes.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[int, Entry] = OrderedDict()  # ready, leased and delayed, in order
        self._dead: OrderedDict[int, Entry] = OrderedDict()
        self._leaving = 0
        self._counts = {"ready": 0, "leased": 0, "delayed": 0}
        self._busy: Counter[str] = Counter()  # sources of which items are leased or set aside
        self._turns = Turns()
        self._delayed: list[tuple[float, Entry]] = []
        self._aside: set[int] = set()
        self._newer: list[int] | None = None  # numbers that come in while others are revived
        self._dead_nbytes = 0
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._dead) + self._leaving

    @property
    def ready(self) -> int:
        """Items that can be taken."""
        return self._counts["ready"]

    @property
    def leased(self) -> int:
        """Items that are leased."""
        return self._counts["leased"]

    @property
    def delayed(self) -> int:
        """Items that come back."""
        return self._counts["delayed"]

    @property
    def dead(self) -> int:
        """Items that were given up."""
        return len(self._dead)

    @property
    def oldest(self) -> Entry | None:
        """The oldest item that is not dead."""
        return next(iter(self._waiting.values()), None)

    @property
    def oldest_that_may_go(self) -> Entry | None:
        """What makes room at the least harm: the oldest dead item, else the oldest that is not leased."""
        entries = (entry for entry in self._waiting.values() if entry.state != "leased")
        return next(iter(self._dead.values()), None) or next(entries, None)

    @property
    def filled(self) -> float:
        """Share, in 0–1, that is used of the room left by dead items."""
        items, nbytes = self._max_items - len(self._dead), self._max_bytes - self._dead_nbytes
        if items <= 0 or nbytes <= 0:
            return 1.0
        return min(1.0, max((len(self) - len(self._dead)) / items, (self.nbytes - self._dead_nbytes) / nbytes))

    def fits(self, nbytes: int) -> bool:
        """Say whether an item of that size may come in now."""
        return len(self) < self._max_items and self.nbytes + nbytes <= self._max_bytes

    def add(self, entry: Entry) -> None:
        """Take in an item that is ready, with a higher number than all before."""
        self.nbytes += entry.nbytes
        self._waiting[entry.number] = entry
        entry.state = "ready"
        self._counts["ready"] += 1
        self._turns.add(entry)
        if self._newer is not None:
            self._newer.append(entry.number)

    def add_dead(self, entry: Entry) -> None:
        """Take in a dead item, with a higher number than all dead ones before."""
        self.nbytes += entry.nbytes
        entry.state = "dead"
        self._dead[entry.number] = entry
        self._dead_nbytes += entry.nbytes

    def take(self, now: float, *, in_order: bool = False) -> Entry | None:
        """Return the item whose turn it is, which is leased from now on; None if there is none.

        Args:
            now: monotonic time in seconds, as in `delay`.
            in_order: pass over sources of which an item is leased, or set aside.
        """
        for _ in range(_DUE_AT_ONCE):
            if not self._delayed or (self._delayed[0][1].state == "delayed" and self._delayed[0][0] > now):
                break
            entry = heapq.heappop(self._delayed)[1]
            if entry.state == "delayed":
                self.give_back(entry)
        taken = self._turns.next(self._busy if in_order else ())
        if taken is not None:
            self._move(taken, "leased")
        return taken

    @property
    def passes_over(self) -> bool:
        """Whether `take` has passed over items that are ready."""
        return self._turns.passes_over

    @property
    def next_due(self) -> float | None:
        """When the next delayed item comes back, at the earliest."""
        return self._delayed[0][0] if self._delayed else None

    def give_back(self, entry: Entry) -> None:
        """Make an item ready that was leased or delayed; it keeps its turn."""
        self._move(entry, "ready")
        self._turns.add(entry)

    def delay(self, entry: Entry, due: float) -> None:
        """Let a leased item come back at this time, after those that were put off less often."""
        entry.delays += 1
        self._put_off(entry, due)

    def set_aside(self, entry: Entry, due: float) -> None:
        """Let a leased item come back at this time in its old turn; until then, in order, none of its source goes before it."""
        self._put_off(entry, due)
        self._aside.add(entry.number)
        self._busy[entry.source] += 1

    def _put_off(self, entry: Entry, due: float) -> None:
        self._move(entry, "delayed")
        heapq.heappush(self._delayed, (due, entry))
        if len(self._delayed) > 2 * self._counts["delayed"] + 64:  # some have been dropped meanwhile
            self._delayed = [one for one in self._delayed if one[1].state == "delayed"]
            heapq.heapify(self._delayed)

    def bury(self, entry: Entry) -> None:
        """Give a leased item up."""
        self._move(entry, "dead")
        del self._waiting[entry.number]
        self._dead[entry.number] = entry
        self._dead_nbytes += entry.nbytes

    def revive(self, entries: Iterable[Entry]) -> Iterator[None]:
        """Make dead items ready, in their old order, a part with each step; those that are dead no longer by then are left out.

        Until the last step what is `oldest` may be wrong, and nothing else. Only one of these at a time.
        """
        revived = sorted((entry for entry in entries if entry.state == "dead"), key=attrgetter("number"))
        if not revived:
            return
        older = list(self._waiting)
        self._newer = []
        for count, entry in enumerate(revived, start=1):
            if entry.state == "dead":
                del self._dead[entry.number]
                self._dead_nbytes -= entry.nbytes
                self._waiting[entry.number] = entry
                self._counts["ready"] += 1
                entry.state = "ready"
                entry.delays = 0
                self._turns.add(entry)
            if count % _STEP == 0:
                yield
        numbers = (entry.number for entry in revived)
        for count, number in enumerate(chain(merge(older, numbers), self._newer), start=1):
            if number in self._waiting:
                self._waiting.move_to_end(number)
            if count % _STEP == 0:
                yield
        self._newer = None

    def leave(self, entry: Entry) -> None:
        """Nobody gets this item any more; its bytes count until it is `gone`."""
        if self._dead.pop(entry.number, None) is None:
            del self._waiting[entry.number]
        else:
            self._dead_nbytes -= entry.nbytes
        was_ready = entry.state == "ready"
        self._move(entry, "leaving")
        self._leaving += 1
        if was_ready:
            self._turns.let_go(entry.source)

    def gone(self, entry: Entry) -> None:
        """The file of an item that was leaving is no more."""
        self._leaving -= 1
        self.nbytes -= entry.nbytes

    def waiting(self) -> Iterator[Entry]:
        """Yield the items that are not dead, the oldest first."""
        return iter(list(self._waiting.values()))

    def dead_ones(self) -> Iterator[Entry]:
        """Yield the dead items."""
        return iter(list(self._dead.values()))

    def _move(self, entry: Entry, state: State) -> None:
        if entry.state in self._counts:
            self._counts[entry.state] -= 1
        if state in self._counts:
            self._counts[state] += 1
        if state == "leased":
            self._busy[entry.source] += 1
        elif entry.state == "leased" or entry.number in self._aside:
            self._aside.discard(entry.number)
            self._busy[entry.source] -= 1
            if not self._busy[entry.source]:
                del self._busy[entry.source]
        entry.state = state
