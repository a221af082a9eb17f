"""What is known of the events in a bin of time."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohooks.monitors.drift.bin import Bin, end_of, start_of
from aiohooks.monitors.drift.example import Example, best
from aiohooks.monitors.drift.problem import Problems
from aiohooks.monitors.drift.summary import WindowSummary


class WindowKey(NamedTuple):
    """Which events a window holds.

    Attributes:
        length: of its bin.
        start: of its bin, in seconds since the epoch.
        version: of the model.
        segment: what the events have in common; empty for those that belong to none.
    """

    length: Bin
    start: int
    version: str
    segment: str

    @property
    def end(self) -> int:
        """When the bin ends, in seconds since the epoch."""
        return end_of(self.start, self.length)

    def within(self, length: Bin) -> "WindowKey":
        """Return the window of that length, or of its own if it is longer, that this one is a part of."""
        if end_of(0, length) <= end_of(0, self.length):
            return self
        return WindowKey(length, start_of(self.start, length), self.version, self.segment)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Summary of the events in a bin. Windows of one baseline add, in any order, to the same.

    Attributes:
        key: which events.
        summary: of the good ones.
        refused: how many there were beside, with a wrong time or wrong features.
        problems: what was wrong with them, and with values of good ones.
        truth: of events whose true label is known, how many had which true and which predicted label.
        examples: pictures.
    """

    key: WindowKey
    summary: WindowSummary
    refused: int = 0
    problems: Problems = field(default_factory=Counter)
    truth: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: tuple[Example, ...] = ()

    @property
    def events(self) -> int:
        """How many good events there were."""
        return self.summary.count

    @property
    def accuracy(self) -> float | None:
        """Share of the events with a known true label whose predicted label was that; None if there are none."""
        known = self.truth.total()
        return sum(count for (true, said), count in self.truth.items() if true == said) / known if known else None

    def merge(self, other: "Window", key: WindowKey | None = None) -> "Window":
        """Return the sum of both as the window ``key``, which both are a part of; by default that of this one."""
        key = self.key if key is None else key
        return Window(
            key,
            self.summary + other.summary,
            self.refused + other.refused,
            self.problems + other.problems,
            self.truth + other.truth,
            best((*self.examples, *other.examples), key.length),
        )
