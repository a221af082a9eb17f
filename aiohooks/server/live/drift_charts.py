"""The charts of a drift monitor, for a live page: parts of its report, made while somebody watches."""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from aiohooks.charts import Chart
from aiohooks.errors import AiohooksError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.monitor import DriftMonitor
from aiohooks.monitors.drift.report import DriftReport

FIRST = ("drift, wide", "drift", "psi", "class mix", "traffic")
"""Charts that come first, the first of them for wide and for narrow screens; of the others the measures follow."""

MOST_CHARTS = 9
MOST_ALERTS = 12

SHORTEST_PAUSE = 15.0
"""Seconds between two readings of a database at least."""

SHARE = 0.004
"""Of the time of one processor that reading may take."""

# The page's colours for a dark background: a picture does not inherit them (https://www.w3.org/TR/SVG2/conform.html#secure-static-mode).
_DARK = (
    "<style>@media(prefers-color-scheme:dark){svg{--chart-ink:#dfe4e8;--chart-grid:#333c45;--chart-1:#4fb3ea;--chart-2:#ff9452;"
    "--chart-3:#3fcf9f;--chart-4:#e59cc6;--chart-5:#e6b84d;--chart-6:#9fd0f5}}</style>"
)


class DriftPictures(NamedTuple):
    """What a database tells.

    Attributes:
        charts: titles and SVG documents.
        alerts: the latest alerts, the newest first.
        windows: how many there are.
        events: how many are in them.
        length: of the windows.
    """

    charts: Sequence[tuple[str, bytes]]
    alerts: Sequence[DriftAlert]
    windows: int
    events: int
    length: str


def pause_for(seconds: float) -> float:
    """Return the seconds until databases may be read again, from those of a processor that reading them has taken."""
    return max(SHORTEST_PAUSE, seconds / SHARE)


def drift_pictures(monitor: DriftMonitor) -> tuple[DriftPictures | str, float]:
    """Read a monitor's database and draw it. Blocks, for some seconds where it is large.

    Returns:
        What it tells, or why it tells nothing, such as that there are no windows yet; and the seconds of a processor that it took.
    """
    started = time.thread_time()
    told: DriftPictures | str
    try:
        told = _drawn(monitor)
    except AiohooksError as error:
        told = str(error)
    return told, time.thread_time() - started


def _drawn(monitor: DriftMonitor) -> DriftPictures:
    report = DriftReport.read(monitor.database)
    charts = report.charts
    names = [name for name in FIRST if name in charts]
    names += [name for name in charts if name not in names]
    findings = report.findings
    return DriftPictures(
        charts=[(_title(name), svg_document(charts[name])) for name in names[:MOST_CHARTS]],
        alerts=findings.alerts[-MOST_ALERTS:][::-1],
        windows=len(findings.windows),
        events=sum(window.events for window in findings.windows),
        length=findings.length,
    )


def svg_document(chart: Chart) -> bytes:
    """Return a chart as a document of its own that is light or dark as its reader likes it."""
    return re.sub(r"(<svg\b[^>]*>)", rf"\1{_DARK}", chart.svg, count=1).encode()


def _title(name: str) -> str:
    return {"drift, wide": "Drift", "psi": "PSI", "jsd": "Jensen-Shannon distance"}.get(name, name.capitalize())
