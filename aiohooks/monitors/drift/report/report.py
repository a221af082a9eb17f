"""What became of a stream, as charts and as one page."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

from aiohooks.atomic_file import write_atomically
from aiohooks.charts import Chart
from aiohooks.errors import SpecError
from aiohooks.monitors.drift.bin import Bin
from aiohooks.monitors.drift.report.charts import charts_of
from aiohooks.monitors.drift.report.findings import Findings
from aiohooks.monitors.drift.report.gather import gather
from aiohooks.monitors.drift.report.page import page_of
from aiohooks.monitors.drift.report.plane import Projection, map_chart, plane_of
from aiohooks.monitors.progress import Progress, shown

Time = datetime | float
"""An aware datetime, or seconds since the epoch."""


class DriftReport:
    """What a drift monitor's database tells of a period. Every method blocks, for some seconds where the period is long.

    Args:
        findings: what was read; see `read`.
        projection: of the map: ``pca`` or ``umap`` (``pip install "aiohooks[umap]"``).
    """

    def __init__(self, findings: Findings, *, projection: Projection = "pca") -> None:
        self.findings = findings
        self._projection: Projection = projection

    @classmethod
    def read(
        cls,
        database: str | os.PathLike[str],
        *,
        bin: Bin | None = None,
        since: Time | None = None,
        until: Time | None = None,
        version: str | None = None,
        labels: Sequence[str] = (),
        projection: Projection = "pca",
        progress: bool | Progress | None = None,
    ) -> Self:
        """Read a database; a monitor may be writing to it.

        Args:
            database: of a `DriftMonitor`.
            bin: length of the windows; by default the shortest of which there are at most 800, with 20 events on average.
            since: beginning of the period; by default of all that is kept.
            until: its end.
            version: of the model; by default the one that had the latest events.
            labels: names of the classes; by default those that the monitor knew.
            projection: of the map: ``pca`` or ``umap``.
            progress: True shows a bar in a terminal; a function is called after each window.

        Raises:
            LoadError: it is no such database, or is newer.
            SpecError: there are no windows in that period, or too many, or a time has no zone.
            DeliveryError: it cannot be read.
        """
        start, end = (_seconds(name, time) for name, time in (("since", since), ("until", until)))
        with shown(progress, "windows") as show:
            findings = gather(
                Path(database), length=bin, version=version, labels=labels, progress=show,
                since=float("-inf") if start is None else start, until=float("inf") if end is None else end,
            )  # fmt: skip
        return cls(findings, projection=projection)

    @cached_property
    def charts(self) -> Mapping[str, Chart]:
        """Charts over time by name: ``drift``, every measure's, ``traffic``, ``class mix``, numbers such as ``brightness``, and others."""
        return charts_of(self.findings)

    def map(self, window: int = -1) -> Chart:
        """Return a map with the baseline and one window on it.

        Args:
            window: which of ``findings.windows``.

        Raises:
            SpecError: UMAP was asked for, and cannot be had.
        """
        return map_chart(self.findings, range(len(self.findings.windows))[window], self._projection)

    def html(self, title: str = "") -> str:
        """Return one page that needs nothing but itself, of at most 10 MB.

        Args:
            title: of the page; by default the name of the database.

        Raises:
            SpecError: as of `map`.
        """
        plane = plane_of(self.findings, self._projection)
        return page_of(title or f"Drift: {self.findings.source}", self.findings, self.charts, plane)

    def save(self, path: str | os.PathLike[str], title: str = "") -> None:
        """Write the page to a file.

        Raises:
            OSError: it cannot be written.
            SpecError: as of `map`.
        """
        write_atomically(os.fspath(path), self.html(title).encode())


def _seconds(name: str, time: Time | None) -> float | None:
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise SpecError(f"{name}: a time needs a zone, such as datetime(2026, 1, 31, tzinfo=UTC)")
        return time.timestamp()
    return time
