"""How long a drift monitor's database keeps what."""

import itertools
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from aiohooks.fields import check_fields
from aiohooks.monitors.drift.bin import BINS, Bin, end_of, start_of

DAY = 86400.0

Seconds = Annotated[float, Meta(ge=0)]


class DriftRetention(msgspec.Struct, frozen=True, kw_only=True):
    """How long windows stay as short as they are, and how large the database may grow.

    Minutes that are older than asked for become hours, hours days, days weeks: nothing is lost but how finely time is told.

    Attributes:
        minutes: seconds that minutes are kept.
        hours: seconds that hours are kept.
        days: seconds that days are kept.
        weeks: seconds that weeks are kept, and then forgotten; None: for ever.
        events: seconds that events themselves are kept, where the monitor keeps any.
        max_bytes: size of the database. Beyond it kept events are forgotten first, then windows become longer before their time, then ids
            are forgotten, and at last the oldest windows. It has to hold the baseline and the ids of the monitor's horizon.

    Raises:
        SpecError: a value is out of its range.
    """

    minutes: Seconds = 2 * DAY
    hours: Seconds = 35 * DAY
    days: Seconds = 400 * DAY
    weeks: Seconds | None = None
    events: Seconds = 7 * DAY
    max_bytes: Annotated[int, Meta(ge=1_000_000)] = 4 * 1024**3

    def __post_init__(self) -> None:
        check_fields(self)


def length_at(time: float, now: float, retention: DriftRetention) -> Bin:
    """Return the length of the windows in which events of a time are kept now, both in seconds since the epoch."""
    for (short, long), kept in zip(itertools.pairwise(BINS), _kept(retention), strict=True):
        if time >= start_of(now - kept, long):
            return short
    return "week"


def judged_since(length: Bin, now: float, retention: DriftRetention) -> float:
    """Return since when events are kept in windows of a length or shorter ones, in seconds since the epoch."""
    edges = [
        start_of(now - kept, long) for (_, long), kept in zip(itertools.pairwise(BINS), _kept(retention), strict=True)
    ]
    return float(min(edges[: BINS.index(length) + 1])) if length != "week" else float("-inf")


def _kept(retention: DriftRetention) -> tuple[float, ...]:
    return retention.minutes, retention.hours, retention.days


class Step(NamedTuple):
    """Windows to be changed.

    Attributes:
        length: of these windows.
        before: they begin before this, in seconds since the epoch.
        into: the length of those that they are folded into; None: they are forgotten.
    """

    length: Bin
    before: int
    into: Bin | None


def due_steps(oldest: Mapping[Bin, int], now: float, retention: DriftRetention) -> list[Step]:
    """Return what is to be done because of age, in the order in which to do it.

    Args:
        oldest: where the oldest window of each length begins.
        now: in seconds since the epoch.
        retention: what is asked for.
    """
    steps: list[Step] = []
    for (short, long), kept in zip(itertools.pairwise(BINS), _kept(retention), strict=True):
        # Whole bins only: a window must not be folded while it is still being filled.
        before = start_of(now - kept, long)
        if oldest.get(short, before) < before or steps:
            steps.append(Step(short, before, long))
    if retention.weeks is not None:
        before = start_of(now - retention.weeks, "week")
        if oldest.get("week", before) < before:
            steps.append(Step("week", before, None))
    return steps


def step_to_shrink(oldest: Mapping[Bin, int], now: float) -> Step | None:
    """Return what to do next because of size: halve the shortest windows that may go, or forget the oldest; None: nothing is left.

    Args:
        oldest: where the oldest window of each length begins.
        now: in seconds since the epoch; the longer bins that hold it are left alone.
    """
    for short, long in itertools.pairwise(BINS):
        limit = start_of(now, long)
        first = oldest.get(short, limit)
        if first < limit:
            least = end_of(start_of(first, long), long)
            return Step(short, min(max(least, start_of((first + limit) / 2, long)), limit), long)
    first = oldest.get("week", start_of(now, "week"))
    return Step("week", end_of(first, "week"), None) if first < start_of(now, "week") else None
