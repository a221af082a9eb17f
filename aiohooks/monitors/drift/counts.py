"""What a drift monitor counts."""

import msgspec

from aiohooks.monitors.drift.alert_runner import AlertCounts


class DriftCounts(msgspec.Struct):
    """What became of events: ``observed + published = accepted + refused + duplicates + dropped + lost + waiting``.

    Attributes:
        observed: inferences that were seen.
        published: events that were published.
        accepted: are in the database or will be: ``accepted = written + unwritten``.
        refused: had a wrong time or wrong features.
        duplicates: had the id of one that was there before.
        dropped: the worker thread did not keep up.
        lost: could not be written, and there was no more room in memory, or the monitor closed.
        waiting: wait for the worker thread.
        written: are in the database.
        unwritten: are only in memory, until the next flush.
        failed_flushes: how often they could not be written.
        damaged: windows in the database that could not be read; they are left out.
        problems: what was wrong, by field and problem.
        alerts: what became of alerts.
    """

    observed: int = 0
    published: int = 0
    accepted: int = 0
    refused: int = 0
    duplicates: int = 0
    dropped: int = 0
    lost: int = 0
    waiting: int = 0
    written: int = 0
    unwritten: int = 0
    failed_flushes: int = 0
    damaged: int = 0
    problems: dict[str, int] = {}
    alerts: AlertCounts = msgspec.field(default_factory=AlertCounts)
