from typing import Any

import numpy as np
import pytest
from drift_fixtures import events, fit

from aiohooks.errors import SpecError
from aiohooks.monitors.drift import EventArrays
from aiohooks.monitors.drift.martingale import MartingaleAlarm
from aiohooks.monitors.drift.stream_watch import StreamWatch

BASELINE = fit()


def test_the_moving_average_hears_of_drift_within_tens_of_events() -> None:
    delays = []
    for seed in range(20):
        alarm = BASELINE.stream_alarm(0.2)
        alarm.update(BASELINE.alarm_vectors(BASELINE.project(events(50, seed))))
        sounded = alarm.update(BASELINE.alarm_vectors(BASELINE.project(events(100, 100 + seed, moved=2))))
        delays.append(sounded[0] + 1 if len(sounded) else 1000)
    assert np.median(delays) <= 24


def test_the_moving_average_rarely_sounds_by_chance() -> None:
    vectors = BASELINE.alarm_vectors(BASELINE.project(events(30_000, 1)))
    assert len(BASELINE.stream_alarm(0.2).update(vectors)) <= 12
    often = len(BASELINE.stream_alarm(5).update(vectors))
    assert 40 <= often <= 300
    assert (
        BASELINE.stream_alarm(0.001)._threshold
        > BASELINE.stream_alarm(0.05)._threshold
        > BASELINE.stream_alarm(5)._threshold
    )


def test_events_come_in_batches_of_any_size_and_the_alarm_sounds_on() -> None:
    vectors = BASELINE.alarm_vectors(BASELINE.project(events(100, 4, moved=3)))
    at_once, one_by_one = BASELINE.stream_alarm(), BASELINE.stream_alarm()
    sounded = at_once.update(vectors).tolist()
    singly = [index for index in range(100) if len(one_by_one.update(vectors[index : index + 1]))]
    assert sounded == singly
    assert len(sounded) > 2
    assert at_once.value == one_by_one.value < 1


def test_alarms_want_a_rate_that_makes_sense() -> None:
    for rate in (0, -1, 11, float("nan")):
        with pytest.raises(SpecError, match="above 0 and at most 10"):
            BASELINE.stream_alarm(rate)
        with pytest.raises(SpecError, match="above 0 and at most 10"):
            BASELINE.martingale_alarm(rate)


def test_the_martingale_rarely_sounds_whatever_the_distribution() -> None:
    rng = np.random.default_rng(0)
    skewed = rng.multinomial(300, [0.7, 0.2, 0.1])
    alarm = MartingaleAlarm([skewed, rng.multinomial(300, [0.5, 0.5])], 0.01)
    # What the baseline holds is itself drawn, so that no p-value taken from it alone would be uniform.
    stream = np.stack([rng.choice(3, 6000, p=[0.7, 0.2, 0.1]), rng.choice(2, 6000)], 1)
    assert len(alarm.update(stream)) <= 60


def test_the_martingale_sees_what_changed() -> None:
    alarm = BASELINE.martingale_alarm(0.2)
    bins = BASELINE.alarm_bins(BASELINE.project(events(200, 5)))
    assert alarm.update(bins).tolist() == []
    dark = BASELINE.alarm_bins(BASELINE.project(events(100, 6, dark=60)))
    dark[3, 0] = -1
    assert not len(alarm.update(dark[:12]))
    assert list(BASELINE.edges)[int(alarm.won().argmax())] == "brightness"
    assert 0 < alarm.value < 1
    sounded = alarm.update(dark[12:])
    assert len(sounded)


def test_the_watch_tells_with_what_value_it_sounded_and_when_it_is_calm_in_batches_of_any_size() -> None:
    def projected(count: int, seed: int, moved: float) -> Any:
        return BASELINE.project(events(count, seed, moved=moved))

    watch = StreamWatch(BASELINE, 0.2)
    (alert,) = watch.see(projected(60, 1, 6.0), 0.0, "v")
    assert alert.kind == "critical"
    assert alert.value > 1
    one = StreamWatch(BASELINE, 0.01)
    both = EventArrays.of(
        *(np.concatenate([getattr(events(count, seed, moved=moved), name) for count, seed, moved in ((40, 1, 6.0), (300, 2, 0.0))])
          for name in ("features", "probabilities")),
        {"brightness": np.full(340, 120.0)},
    )  # fmt: skip
    assert [each.kind for each in one.see(BASELINE.project(both), 0.0, "v")] == ["critical", "recovered"]
    assert not one.is_on
