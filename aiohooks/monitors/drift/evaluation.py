"""Rules look at the windows that have closed."""

import logging
from collections.abc import Sequence

from aiohooks.errors import DeliveryError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_book import AlertBook
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import SECONDS, start_of
from aiohooks.monitors.drift.reading import EVENTS, Reading, differing, read
from aiohooks.monitors.drift.rule import RECENT, DriftRule, RuleState, Step, release, starts_before, step
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.window import WindowKey

logger = logging.getLogger("aiohooks.monitors")

AT_ONCE = 32
"""Windows that are looked at before the thread has time for something else."""


def evaluate(
    store: DriftStore, baseline: DriftBaseline, rules: Sequence[DriftRule], now: float, lateness: float, after: int = 0
) -> tuple[list[tuple[int, DriftAlert]], bool]:
    """Have the rules look at windows that have closed, in a transaction for each. Blocks.

    Args:
        store: with the windows.
        baseline: decides about them.
        rules: what to look for.
        now: in seconds since the epoch.
        lateness: seconds after its end, and after its last change, that a window is waited for.
        after: number of the last alert that is known.

    Returns:
        Further alerts that actions have not ended with, each with its number, and whether there are more windows to look at.

    Raises:
        DeliveryError: the database cannot be read or written. Alerts that were found until then are returned by the next call.
    """
    book = AlertBook(store.database)
    _miss(store, book, rules, now)
    due = book.due(now, lateness, AT_ONCE + 1)
    for key, changed in due[:AT_ONCE]:
        try:
            with store.database.transaction():
                for rule in rules:
                    if rule.bin == key.length and rule.version in (None, key.version):
                        for segment in _segments(store, rule):
                            _look(store, book, baseline, rule, key._replace(segment=segment), now)
                book.done(key, changed)
        except DeliveryError:
            raise
        except Exception:
            logger.exception(
                "%s: the %s at %d cannot be judged, and is left out", store.database.path, key.length, key.start
            )
            with store.database.transaction():
                book.done(key, changed)
    with store.database.transaction():
        for rule in rules:
            for version, segment, state in book.states(rule.name):
                if state.held is not None:
                    _take(book, rule, version, segment, state, release(rule, state, now))
        return book.new(after), len(due) > AT_ONCE


def _look(
    store: DriftStore, book: AlertBook, baseline: DriftBaseline, rule: DriftRule, key: WindowKey, now: float
) -> None:
    state = book.state(rule.name, key.version, key.segment)
    reading = _reading(store, baseline, rule, key)
    if rule.earlier is not None:
        before = key._replace(start=starts_before(key, rule.earlier))
        reading = differing(reading, _reading(store, baseline, rule, before))
    _take(book, rule, key.version, key.segment, state, step(rule, state, key, reading, now))


def _take(book: AlertBook, rule: DriftRule, version: str, segment: str, before: RuleState, taken: Step) -> None:
    if taken.state != before:
        book.remember(rule.name, version, segment, taken.state)
    if taken.alert is not None and not (taken.alert.is_late and book.was_given(taken.alert)):
        book.add(taken.alert)


def _reading(store: DriftStore, baseline: DriftBaseline, rule: DriftRule, key: WindowKey) -> Reading:
    together = not rule.each_segment and rule.segment is None
    return read(rule.metric, store.window(key, together=together), baseline)


def _segments(store: DriftStore, rule: DriftRule) -> list[str]:
    if rule.each_segment:
        return store.keys()[1]
    return ["" if rule.segment is None else rule.segment]


def _miss(store: DriftStore, book: AlertBook, rules: Sequence[DriftRule], now: float) -> None:
    """Have rules that count events look at the last window also where there was no event in it."""
    for rule in rules:
        if rule.metric != EVENTS:
            continue
        seconds = SECONDS[rule.bin]
        start = start_of(now, rule.bin) - seconds
        for version in store.versions(start - RECENT * seconds, start):
            newest = max((state.newest or 0 for of, _, state in book.states(rule.name) if of == version), default=0)
            if rule.version in (None, version) and newest < start:
                with store.database.transaction() as connection:
                    connection.execute(
                        "INSERT OR IGNORE INTO due VALUES(?, ?, ?, ?)", (seconds, start, version, start + seconds)
                    )
