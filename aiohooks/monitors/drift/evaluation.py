"""Rules look at the windows that have closed."""

from collections.abc import Sequence
from typing import Protocol

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_book import AlertBook
from aiohooks.monitors.drift.bin import SECONDS, start_of
from aiohooks.monitors.drift.decision import WindowDecision
from aiohooks.monitors.drift.reading import EVENTS, Reading, differing, read
from aiohooks.monitors.drift.rule import RECENT, DriftRule, RuleState, Step, release, starts_before, step
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.summary import WindowSummary
from aiohooks.monitors.drift.window import Window, WindowKey


class Judge(Protocol):
    """What decides about windows: a baseline."""

    def decide(self, window: WindowSummary) -> WindowDecision:
        """Say how unusual a window is."""


def evaluate(
    store: DriftStore, judge: Judge, rules: Sequence[DriftRule], now: float, lateness: float
) -> list[DriftAlert]:
    """Have the rules look at every window that has closed, in a transaction for each, and return the alerts. Blocks.

    Args:
        store: with the windows.
        judge: decides about them.
        rules: what to look for.
        now: in seconds since the epoch.
        lateness: seconds after its end, and after its last change, that a window is waited for.

    Raises:
        DeliveryError: the database cannot be read or written. Alerts that were found before are found again then.
    """
    book = AlertBook(store.database)
    alerts: list[DriftAlert] = []
    _miss(store, book, rules, now)
    for key, changed in book.due(now, lateness):
        found = []
        with store.database.transaction():
            for rule in rules:
                if rule.bin == key.length and rule.version in (None, key.version):
                    for segment in _segments(store, rule):
                        found += _look(store, book, judge, rule, key._replace(segment=segment), now)
            book.done(key, changed)
        alerts += found
    with store.database.transaction():
        for rule in rules:
            for version, segment, state in book.states(rule.name):
                if state.held is not None:
                    alerts += _taken(book, rule, version, segment, state, release(rule, state, now))
    return alerts


def _look(
    store: DriftStore, book: AlertBook, judge: Judge, rule: DriftRule, key: WindowKey, now: float
) -> list[DriftAlert]:
    state = book.state(rule.name, key.version, key.segment)
    reading = _reading(store, judge, rule, key)
    if rule.earlier is not None:
        before = key._replace(start=starts_before(key, rule.earlier))
        reading = differing(reading, _reading(store, judge, rule, before))
    return _taken(book, rule, key.version, key.segment, state, step(rule, state, key, reading, now))


def _taken(
    book: AlertBook, rule: DriftRule, version: str, segment: str, before: RuleState, taken: Step
) -> list[DriftAlert]:
    if taken.state != before:
        book.remember(rule.name, version, segment, taken.state)
    if taken.alert is None or (taken.alert.is_late and book.was_given(taken.alert)):
        return []
    book.add(taken.alert)
    return [taken.alert]


def _reading(store: DriftStore, judge: Judge, rule: DriftRule, key: WindowKey) -> Reading:
    window = _window(store, rule, key)
    decision = judge.decide(window.summary) if window is not None else None
    return read(rule.metric, window, decision)


def _window(store: DriftStore, rule: DriftRule, key: WindowKey) -> Window | None:
    return store.window(key, together=not (rule.each_segment or rule.segment is not None))


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
            state = book.state(rule.name, version, "" if rule.segment is None else rule.segment)
            if rule.version in (None, version) and (state.newest is None or state.newest < start):
                with store.database.transaction() as connection:
                    connection.execute(
                        "INSERT OR IGNORE INTO due VALUES(?, ?, ?, ?)", (seconds, start, version, start + seconds)
                    )
