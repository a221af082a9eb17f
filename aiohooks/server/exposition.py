"""Counts as text for Prometheus.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohooks.server.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
        for bound, own in zip((*map(_number, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            count += own
            self.samples.append(("_bucket", {**labels, "le": bound}, count))
        self.samples.append(("_sum", labels, histogram.total))
        self.samples.append(("_count", labels, count))


def text_of(families: Iterable[Family]) -> str:
    """Return the text; families without samples are left out."""
    lines = []
    for family in families:
        if not family.samples:
            continue
        lines += [f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} {family.kind}"]
        for suffix, labels, value in family.samples:
            told = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
            lines.append(
                f"{family.name}{suffix}{{{told}}} {_number(value)}" if told else f"{family.name} {_number(value)}"
            )
    return "\n".join([*lines, ""])


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
