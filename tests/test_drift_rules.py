"""From one window to the next: when a rule gives an alert, and when it is over."""

import itertools
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.bin import BINS, SECONDS, end_of, start_of
from aiohooks.monitors.drift.reading import Reading, differing
from aiohooks.monitors.drift.retention import DriftRetention, due_steps, length_at, step_to_shrink
from aiohooks.monitors.drift.rule import DriftRule, RuleState, is_alarmed, release, step
from aiohooks.monitors.drift.window import WindowKey

START = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
HOUR = 3600


def rule(**changes: Any) -> DriftRule:
    return DriftRule(**{"name": "r", "metric": "jsd", "warning": 0.3, "critical": 0.6} | changes)


def reading(value: float | None, p_value: float | None = None, events: int = 100) -> Reading:
    return Reading(value, p_value, events, {"jsd": value or 0.0})


class Watch:
    """A rule that looks at one hour after the other."""

    def __init__(self, rule: DriftRule, now: float = START) -> None:
        self.rule = rule
        self.state = RuleState()
        self.now = now
        self.alerts: list[DriftAlert] = []

    def see(self, *values: float | None, hour: int | None = None, **about: Any) -> list[str]:
        told = len(self.alerts)
        for value in values:
            latest = self.state.newest
            start = START + hour * HOUR if hour is not None else START if latest is None else latest + HOUR
            key = WindowKey("hour", start, "v", "")
            self.state, alert = step(self.rule, self.state, key, reading(value, **about), self.now)
            self.alerts += [alert] if alert is not None else []
        return [alert.kind for alert in self.alerts[told:]]


def test_an_alert_comes_when_it_begins_gets_worse_and_is_over() -> None:
    watch = Watch(rule())
    assert watch.see(0.1, 0.3) == []
    assert watch.see(0.4) == ["warning"]
    assert watch.see(0.5) == []
    assert watch.see(0.7) == ["critical"]
    assert watch.see(0.5, 0.7) == []
    assert watch.see(0.2) == ["recovered"]
    assert watch.see(0.2) == []
    first = watch.alerts[0]
    assert (first.start, first.value, first.threshold, first.events) == (START + 2 * HOUR, 0.4, 0.3, 100)
    assert first.message == ("r: warning: jsd 0.4, above 0.3; 100 events, hour 2026-11-02 02:00 – 03:00 UTC, model v")


def test_below() -> None:
    watch = Watch(rule(side="below", warning=50.0, critical=10.0))
    assert watch.see(100, 50) == []
    assert watch.see(40) == ["warning"]
    assert watch.see(5) == ["critical"]


def test_a_p_value_decides_where_the_threshold_is_automatic() -> None:
    watch = Watch(rule(warning="auto", critical="auto"))
    assert watch.see(9.0, p_value=0.06) == []
    assert watch.see(0.1, p_value=0.05) == ["warning"]
    assert watch.see(0.1, p_value=0.01) == ["critical"]
    assert (watch.alerts[-1].threshold, watch.alerts[-1].p_value) == (None, 0.01)


def test_without_a_p_value_earlier_windows_say_what_is_usual() -> None:
    watch = Watch(rule(warning="auto", critical=None, warning_rate=0.05))
    assert watch.see(*range(18)) == []
    assert watch.see(100) == []  # 1 of 19
    assert watch.see(50) == []  # 2 of 20
    assert watch.see(200) == ["warning"]  # 1 of 21


@pytest.mark.parametrize("side", ["above", "below"])
def test_an_automatic_threshold_of_history_keeps_its_rate(side: str) -> None:
    watch = Watch(rule(warning="auto", critical=None, warning_rate=0.05, side=side))
    fired = 0
    for value in np.random.default_rng(0).normal(size=4000).tolist():
        watch.see(value)
        fired += watch.state.severity is not None
    assert 0.04 < fired / 4000 < 0.065
    assert len(watch.state.history) == 400


def test_what_goes_on_does_not_become_usual() -> None:
    watch = Watch(rule(warning="auto", critical=None))
    watch.see(*np.random.default_rng(1).normal(size=100).tolist())
    watch.see(*[20.0] * 200)
    assert watch.state.severity == "warning"


def test_recovery_takes_as_many_calm_windows_as_asked_for() -> None:
    watch = Watch(rule(recovery=3))
    assert watch.see(0.4, 0.1, 0.1, 0.4, 0.1, 0.1) == ["warning"]
    assert watch.see(0.1) == ["recovered"]


def test_within_the_cooldown_nothing_of_the_same_severity_follows() -> None:
    watch = Watch(rule(cooldown=4 * HOUR))
    assert watch.see(0.4, 0.1) == ["warning", "recovered"]
    assert watch.see(0.4, 0.1) == []
    assert watch.see(0.7) == ["critical"]
    assert watch.see(0.1) == ["recovered"]
    assert watch.see(0.4) == []
    assert watch.see(0.4, 0.4) == ["warning"], "what goes on is told when the cooldown is over"


def test_what_goes_on_is_repeated_if_asked_for() -> None:
    watch = Watch(rule(repeat_every=3 * HOUR))
    assert watch.see(0.4, 0.4, 0.4) == ["warning"]
    assert watch.see(0.4) == ["warning"]
    assert watch.see(0.4, 0.4) == []
    assert watch.see(0.4) == ["warning"]


def test_too_few_events_change_nothing() -> None:
    watch = Watch(rule(min_events=50))
    assert watch.see(0.4) == ["warning"]
    before = watch.state
    assert watch.see(0.1, events=49) == []
    assert watch.see(None) == []
    assert watch.state == before
    assert Watch(rule(metric="events", min_events=50)).see(0.4, events=0) == ["warning"]


def test_quiet_hours_hold_back_what_is_still_so_when_they_end() -> None:
    at = datetime(2026, 11, 2, 21, 59, tzinfo=UTC).timestamp()
    watch = Watch(rule(quiet=("22:00", "06:00")), at + 60)
    assert watch.see(0.4, 0.7) == []
    assert release(watch.rule, watch.state, at + 60).alert is None
    state, alert = release(watch.rule, watch.state, at + 60 + 8 * HOUR)
    assert alert is not None
    assert (alert.kind, alert.at) == ("critical", at + 60 + 8 * HOUR)
    assert release(watch.rule, state, at + 9 * HOUR).alert is None
    watch.state, watch.now = state, at + 9 * HOUR
    assert watch.see(0.7, 0.1) == ["recovered"]


def test_what_begins_and_ends_in_quiet_hours_is_never_told() -> None:
    watch = Watch(rule(quiet=("00:00", "23:59")))
    assert watch.see(0.4, 0.1) == []
    assert release(watch.rule, watch.state, START + 23 * HOUR + 3599).alert is None


def test_quiet_hours_are_those_of_the_time_zone() -> None:
    quiet = rule(quiet=("08:00", "09:00"), time_zone="Europe/Berlin")
    assert quiet.is_quiet(datetime(2026, 11, 2, 7, 30, tzinfo=UTC).timestamp())
    assert not quiet.is_quiet(datetime(2026, 11, 2, 8, 30, tzinfo=UTC).timestamp())
    assert quiet.is_quiet(datetime(2026, 7, 2, 6, 30, tzinfo=UTC).timestamp())


def test_a_late_window_is_told_and_changes_nothing() -> None:
    watch = Watch(rule())
    watch.see(0.1, 0.1, 0.1)
    before = watch.state
    assert watch.see(0.7, hour=1) == ["critical"]
    assert watch.alerts[-1].is_late
    assert watch.state == before
    assert watch.see(0.1, hour=1) == []


def test_late_events_of_the_latest_window_may_only_make_it_worse() -> None:
    watch = Watch(rule(recovery=2))
    assert watch.see(0.4) == ["warning"]
    assert watch.see(0.7, hour=0) == ["critical"]
    assert watch.see(0.1) == []
    assert watch.see(0.1, hour=1) == [], "the same window is no second calm one"
    assert watch.see(0.1) == ["recovered"]
    assert watch.state.history == (0.4, 0.1)


def test_the_difference_to_an_earlier_window() -> None:
    assert differing(reading(0.5, 0.01), reading(0.2, 0.3))[:3] == (0.3, None, 100)
    assert differing(reading(0.5), reading(None)).value is None


def test_a_model_that_is_gone_is_no_alarm() -> None:
    gone, here = (RuleState(severity="critical", newest=START), RuleState(newest=START + 9 * HOUR))
    assert is_alarmed(rule(bin="hour"), [gone])
    assert not is_alarmed(rule(bin="hour"), [gone, here])
    assert is_alarmed(rule(bin="day"), [gone, here])
    assert not is_alarmed(rule(), [])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warning": None, "critical": None}, "neither a warning nor a critical threshold"),
        ({"warning": float("nan")}, "warning must be finite"),
        ({"warning": "often"}, "DriftRule.warning"),
        ({"quiet": ("22:00", "late")}, "DriftRule 'r': .*late"),
        ({"quiet": ("22:00+01:00", "06:00")}, "quiet must be times without a zone"),
        ({"time_zone": "Nowhere/Land"}, "DriftRule 'r': .*Nowhere/Land"),
        ({"segment": "a", "each_segment": True}, "exclude each other"),
        ({"bin": "month"}, "DriftRule.bin: .*expected minute or hour or day or week"),
        ({"warning_rate": 1.0}, "DriftRule.warning_rate"),
        ({"recovery": 0}, "DriftRule.recovery"),
        (
            {"metric": "mean of brightness", "critical": "auto", "critical_rate": 0.001},
            "critical_rate=0.001 is less than the 400 earlier",
        ),
        ({"earlier": 24, "warning": "auto", "warning_rate": 0.002}, "take at least 0.0025"),
    ],
)
def test_rules_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        rule(**fields)


TIMES = st.integers(-(10**10), 10**11)


@given(TIMES)
def test_bins_are_in_each_other(time: int) -> None:
    for length in BINS:
        start = start_of(time, length)
        assert start <= time < end_of(start, length)
        assert start_of(start, length) == start_of(end_of(start, length) - 1, length) == start
    for short, long in itertools.pairwise(BINS):
        assert start_of(time, long) <= start_of(time, short)
        assert end_of(start_of(time, short), short) <= end_of(start_of(time, long), long)


def test_weeks_begin_on_mondays() -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    assert start_of(datetime(2026, 11, 29, 23, 59, tzinfo=UTC).timestamp(), "week") == monday.timestamp()


@given(st.dictionaries(st.sampled_from(BINS), st.integers(0, 10**9), min_size=1), st.floats(0, 1e9))
def test_shrinking_comes_to_an_end_and_leaves_the_present_alone(oldest: dict[Any, int], now: float) -> None:
    left = {length: start_of(start, length) for length, start in oldest.items() if start <= now}
    for _ in range(20_000):
        made = step_to_shrink(left, now)
        if made is None:
            break
        assert left[made.length] < made.before <= end_of(start_of(now, "week"), "week")
        if made.into is None:
            left["week"] = made.before
        else:
            assert made.before == start_of(made.before, made.into)
            left[made.into] = min(left.get(made.into, made.before), start_of(left[made.length], made.into))
            left[made.length] = made.before
    else:
        pytest.fail("it does not end")


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_what_is_kept_in_a_window_now_is_not_folded_now(time: float, now: float) -> None:
    retention = DriftRetention(minutes=7200, hours=86400 * 3, days=86400 * 30)
    length = length_at(time, now, retention)
    start = start_of(time, length)
    for made in due_steps({length: start}, now, retention):
        assert made.length != length or start >= made.before
    assert start_of(start, length) == start
    assert length == "week" or SECONDS[length] <= max(retention.days, now - time + 2 * 604800)


def test_late_windows_keep_quiet_and_cool_down() -> None:
    cases: tuple[tuple[dict[str, Any], bool], ...] = (
        ({}, True),
        ({"quiet": ("00:00", "23:59")}, False),
        ({"cooldown": 1e6}, False),
    )
    for settings, told in cases:
        watched = rule(**settings)
        state = RuleState(newest=START + HOUR, sent={"critical": START + 2 * HOUR})
        late = step(watched, state, WindowKey("hour", START, "v", ""), reading(9.0), START + 3 * HOUR)
        assert (late.alert is not None) is told, settings
