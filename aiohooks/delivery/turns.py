"""Whose turn it is among the items that are ready."""

import heapq
from collections import Counter
from collections.abc import Container

from aiohooks.delivery.entry import Entry

_STALE = 64
"""So much of what is not true any more is kept in any case."""


class Turns:
    """Items that are ready, in their turn: first those that were put off less often, and of these the oldest.

    There is a line for each source, so that it costs nothing to pass over one, however many wait in it. What is not ready any more is
    let go of where it is met, or once it is most of its line.
    """

    def __init__(self) -> None:
        self._lines: dict[str, list[Entry]] = {}
        self._firsts: list[tuple[int, int, str]] = []  # delays, number and source of those who are first in their line
        self._stale: Counter[str] = Counter()  # entries in a line that are not ready any more
        self._passed_over: set[str] = set()  # sources whose first is not among these

    @property
    def passes_over(self) -> bool:
        """Whether there are sources that were passed over when somebody asked last."""
        return bool(self._passed_over)

    def add(self, entry: Entry) -> None:
        """Let an item that is ready wait for its turn."""
        line = self._lines.setdefault(entry.source, [])
        heapq.heappush(line, entry)
        if line[0] is entry:
            self._show_first(entry.source)

    def next(self, busy: Container[str] = ()) -> Entry | None:
        """Take out the item whose turn it is; None if there is none.

        Args:
            busy: sources to pass over.
        """
        for source in [one for one in self._passed_over if one not in busy]:
            self._passed_over.discard(source)
            self._show_first(source)
        while self._firsts:
            turn = heapq.heappop(self._firsts)
            source = turn[2]
            if not self._is_first(turn):
                continue
            if source in busy:
                self._passed_over.add(source)
                continue
            entry = heapq.heappop(self._lines[source])
            if entry.state != "ready":
                self._stale[source] -= 1
            self._show_first(source)
            if entry.state == "ready":
                return entry
        return None

    def let_go(self, source: str) -> None:
        """Note that an item of a source is not ready any more."""
        line = self._lines.get(source)
        if line:
            self._stale[source] += 1
            if len(line) > 2 * (len(line) - self._stale[source]) + _STALE:
                line[:] = [entry for entry in line if entry.state == "ready"]
                heapq.heapify(line)
                del self._stale[source]
                self._show_first(source)
            elif line[0].state != "ready":
                self._show_first(source)
        while self._firsts and not self._is_first(self._firsts[0]):
            heapq.heappop(self._firsts)

    def _show_first(self, source: str) -> None:
        line = self._lines.get(source)
        while line and line[0].state != "ready":
            heapq.heappop(line)
            self._stale[source] -= 1
        if not line:
            self._lines.pop(source, None)
            self._stale.pop(source, None)
        elif source not in self._passed_over:
            heapq.heappush(self._firsts, (line[0].delays, line[0].number, source))
            if len(self._firsts) > 2 * len(self._lines) + _STALE:
                self._firsts = [turn for turn in set(self._firsts) if self._is_first(turn)]
                heapq.heapify(self._firsts)

    def _is_first(self, turn: tuple[int, int, str]) -> bool:
        delays, number, source = turn
        line = self._lines.get(source)
        return (
            line is not None
            and source not in self._passed_over
            and (line[0].delays, line[0].number) == (delays, number)
        )
