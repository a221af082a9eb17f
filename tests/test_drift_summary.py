import struct
import zlib

import numpy as np
import pytest
from drift_fixtures import events, fit
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift import WindowSummary, merge
from aiohooks.monitors.drift.summary import MOST_EVENTS

BASELINE = fit()
STREAM = events(200, 5, moved=0.6)
PROJECTED = BASELINE.project(STREAM)
WHOLE = BASELINE.summarise(PROJECTED)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_split_over_monitors_merged_in_any_order_is_the_same(data: st.DataObject) -> None:
    monitors = data.draw(st.integers(1, 16))
    owners = np.array(data.draw(st.lists(st.integers(0, monitors - 1), min_size=200, max_size=200)))
    # Each monitor projects what it saw itself, so that other events come together than in the whole.
    parts = [
        BASELINE.summarise(BASELINE.project(STREAM.take(np.flatnonzero(owners == one)))) for one in range(monitors)
    ]
    order = data.draw(st.permutations(parts))
    if data.draw(st.booleans()):
        order = [WindowSummary.from_bytes(part.to_bytes()) for part in order]
    merged = merge(order)
    assert merged.count == 200
    np.testing.assert_allclose(merged.sums, WHOLE.sums, rtol=1e-9, atol=2)  # in units of 2**-28
    one, other = BASELINE.decide(merged), BASELINE.decide(WHOLE)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6)
    assert [one.drifted(rate) for rate in (0.1, 0.05, 0.01)] == [other.drifted(rate) for rate in (0.1, 0.05, 0.01)]


@given(st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=30), st.integers(0, 2**20))
def test_addition_is_exact_associative_and_commutative(numbers: list[int], count: int) -> None:
    one, two, three = (WindowSummary(bytes(16), count, np.roll(numbers, shift)) for shift in range(3))
    assert (one + two) + three == one + (two + three) == three + two + one
    assert one + BASELINE_FREE(len(numbers)) == one
    assert WindowSummary.from_bytes(one.to_bytes()) == one


def BASELINE_FREE(width: int) -> WindowSummary:
    return WindowSummary(bytes(16), 0, np.zeros(width, np.int64))


def test_a_summary_is_small() -> None:
    minute = merge([WHOLE] * 9)
    assert len(minute.to_bytes()) < 8 * len(minute.sums) < 3000


def test_summaries_of_other_baselines_do_not_add() -> None:
    other = fit(seed=1)
    with pytest.raises(SpecError, match="different baselines"):
        WHOLE + other.summarise()
    with pytest.raises(SpecError, match="of another baseline"):
        other.decide(WHOLE)
    with pytest.raises(SpecError, match="no summary to merge"):
        merge([])


def test_no_summary_holds_more_events_than_its_sums_can() -> None:
    most = WindowSummary(bytes(16), MOST_EVENTS, np.full(1, 64 * 2**28 * MOST_EVENTS))
    assert most.sums[0] > 0
    with pytest.raises(SpecError, match="take shorter windows"):
        most + WindowSummary(bytes(16), 1, np.zeros(1, np.int64))


@given(st.data())
def test_damaged_bytes_are_an_error(data: st.DataObject) -> None:
    whole = WHOLE.to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LoadError):
        WindowSummary.from_bytes(bytes(damaged))
    with pytest.raises(LoadError):
        WindowSummary.from_bytes(whole[:at])
    with pytest.raises(LoadError):
        WindowSummary.from_bytes(whole + whole[:at] + b"\0")


def test_a_newer_form_is_named() -> None:
    newer = bytearray(WHOLE.to_bytes())
    newer[6] = 2
    with pytest.raises(LoadError, match="newer aiohooks"):
        WindowSummary.from_bytes(bytes(newer))


def test_bytes_that_inflate_beyond_what_they_say_are_not_inflated() -> None:
    bomb = zlib.compress(bytes(10_000_000))
    checked = struct.pack("<8s16sQI", b"AHDRFT\x01\x00", bytes(16), 1, 4)
    data = checked + struct.pack("<I", zlib.crc32(bomb, zlib.crc32(checked))) + bomb
    with pytest.raises(LoadError, match="damaged"):
        WindowSummary.from_bytes(data)
