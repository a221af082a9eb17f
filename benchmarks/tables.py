"""What a benchmark found: printed as a table, kept as JSON."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    Attributes:
        what: the work.
        model: the model and its frames.
        hint: OpenVINO's performance hint.
        slots: inferences that run at once.
        other: what aiohooks is compared with.
        ours_us: microseconds per inference, median.
        other_us: the same of the other.
        ratios: ours / other, one for each round.
        target: what the median ratio should be at most; None if there is no such claim.
        lean_ratios: ours / the leanest form of the other, if there is one.
    """

    what: str
    model: str
    hint: str
    slots: int
    other: str
    ours_us: float
    other_us: float
    ratios: Sequence[float] = field(repr=False)
    target: float | None = None
    lean_ratios: Sequence[float] = field(default=(), repr=False)

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the ratios."""
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def verdict(self) -> Literal["", "ok", "MISSED"]:
        """Whether the target is met."""
        if self.target is None:
            return ""
        return "ok" if self.ratio <= self.target else "MISSED"


def compare(
    taken: Mapping[str, Sequence[float]],
    *,
    ours: str,
    other: str,
    lean: str | None = None,
    target: float | None = None,
    **names: Any,
) -> Row:
    """Return the row that compares two contenders of `alternate`, or three with the leanest form of the other."""
    return Row(
        other=other,
        ours_us=statistics.median(taken[ours]) * 1e6,
        other_us=statistics.median(taken[other]) * 1e6,
        ratios=_ratios(taken[ours], taken[other]),
        lean_ratios=_ratios(taken[ours], taken[lean]) if lean is not None else (),
        target=target,
        **names,
    )


def _ratios(ours: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, other, strict=True)]


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table: time ratios, below 1 means that aiohooks is faster."""
    head = (
        "work",
        "model",
        "hint",
        "slots",
        "ours µs",
        "other µs",
        "against",
        "ratio",
        "quartiles",
        "lean",
        "target",
        "",
    )
    lines = [
        (
            row.what, row.model, row.hint, str(row.slots), f"{row.ours_us:,.0f}", f"{row.other_us:,.0f}", row.other,
            f"{row.ratio:.2f}", "{:.2f}–{:.2f}".format(*row.spread),
            f"{statistics.median(row.lean_ratios):.2f}" if row.lean_ratios else "", "" if row.target is None else f"≤ {row.target:g}",
            row.verdict,
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    right = {3, 4, 5, 7}
    print(f"\n{title}  (times per inference; ratio: ours / other, median of {min(len(r.ratios) for r in rows)} rounds)")
    for line in (head, *lines):
        cells = [f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        print("  ".join(cells).rstrip(), flush=True)


def save(name: str, folder: Path, rows: Sequence[Row] | Sequence[Mapping[str, Any]]) -> None:
    """Write rows, and what they were taken on, to ``folder/name.json``."""
    found = [asdict(row) | {"ratio": row.ratio, "spread": row.spread} if isinstance(row, Row) else row for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": name, "machine": machine(), "rows": found}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def machine() -> dict[str, Any]:
    """Say what the figures were taken on."""
    import openvino as ov

    return {
        "processor": ov.Core().get_property("CPU", "FULL_DEVICE_NAME"),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "openvino": ov.__version__.split("-")[0],
    }
