"""What is measured, as Prometheus has it: a name, what it says, and samples with labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohooks.histogram import Histogram


@dataclass(slots=True)
class Family:
    """One metric with its samples.

    Attributes:
        name: with its unit; of a counter, it ends in ``_total``.
        kind: of metric.
        help: what it says, in a line.
        samples: suffix of the name, labels, value.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: list[tuple[str, Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, /, **labels: str) -> None:
        """Add a sample."""
        self.samples.append(("", labels, value))

    def add_histogram(self, histogram: Histogram, /, **labels: str) -> None:
        """Add the samples of a histogram."""
        count = 0
        for bound, own in zip((*map(shown, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            count += own
            self.samples.append(("_bucket", {**labels, "le": bound}, count))
        self.samples.append(("_sum", labels, histogram.total))
        self.samples.append(("_count", labels, count))


def shown(value: float) -> str:
    """Return a number as text, whole ones without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
