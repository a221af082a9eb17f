"""When a sink is left alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiohooks.backoff import Backoff
from aiohooks.delivery.circuit import FAILURES, MOST_SECONDS, Circuit

BACKOFF = Backoff(1.0, 60.0)
jitter = st.floats(0, 1)


def opened(now: float = 0.0, *, jitter: float = 1.0) -> Circuit:
    circuit = Circuit(BACKOFF)
    for _ in range(FAILURES):
        circuit.failed(circuit.begin(now), now, jitter=jitter)
    return circuit


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    circuit = Circuit(BACKOFF, failures=3)
    for _ in range(2):
        circuit.failed(circuit.begin(0), 0, jitter=1)
    circuit.succeeded()
    for _ in range(2):
        circuit.failed(circuit.begin(0), 0, jitter=1)
    assert circuit.state == "closed"
    circuit.failed(circuit.begin(0), 0, jitter=1)
    assert circuit.state == "open"
    assert circuit.wait(0.25) == 0.75


def test_after_the_pause_one_probe_goes_and_all_others_wait() -> None:
    circuit = opened()
    probe = circuit.begin(1.0)
    assert circuit.state == "half_open"
    assert circuit.wait(1000) == math.inf
    circuit.failed(probe, 2.0, jitter=1)
    assert circuit.state == "open"
    assert circuit.wait(2.0) == 2.0  # twice the first pause
    circuit.begin(4.0)
    circuit.succeeded()
    assert circuit.state == "closed"
    assert circuit.wait(4.0) == 0


def test_a_probe_that_was_given_up_leaves_its_place_to_another() -> None:
    circuit = opened()
    circuit.abandoned(circuit.begin(1.0))
    assert circuit.wait(1.0) == 0
    assert circuit.state == "open"


def test_what_began_before_it_opened_says_nothing_about_now() -> None:
    circuit = Circuit(BACKOFF)
    late = circuit.begin(0)
    for _ in range(FAILURES):
        circuit.failed(circuit.begin(0), 0, jitter=1)
    circuit.begin(1.0)
    circuit.failed(late, 1.0, jitter=1)
    circuit.abandoned(late)
    assert circuit.state == "half_open"


def test_a_success_after_a_long_time_down_makes_the_next_pause_short_again() -> None:
    circuit = opened()
    for now in (10.0, 100.0, 1000.0):
        circuit.failed(circuit.begin(now), now, jitter=1)
    assert circuit.wait(1000.0) == 8
    circuit.begin(2000.0)
    circuit.succeeded()
    for _ in range(FAILURES):
        circuit.failed(circuit.begin(2000.0), 2000.0, jitter=1)
    assert circuit.wait(2000.0) == 1


@pytest.mark.parametrize(("asked", "pause"), [(0.5, 1.0), (30, 30), (1e12, MOST_SECONDS)])
def test_a_sink_that_asks_for_a_pause_gets_it_at_once_within_a_day(asked: float, pause: float) -> None:
    circuit = Circuit(BACKOFF)
    circuit.failed(circuit.begin(0), 0, jitter=1, at_least=asked)
    assert circuit.wait(0) == pause


class Storms(RuleBasedStateMachine):
    """Whatever happens in whatever order: once open, it lets no second attempt through before the first has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(BACKOFF)
        self.now = 0.0
        self.running: list[tuple[int, bool]] = []

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.circuit.wait(self.now) == 0)
    @rule()
    def begin(self) -> None:
        was_open = self.circuit.state != "closed"
        self.running.append((self.circuit.begin(self.now), was_open))
        assert self.circuit.state == ("half_open" if was_open else "closed")

    @precondition(lambda self: self.running)
    @rule(data=st.data(), jitter=jitter, asked=st.sampled_from([0.0, 0.0, 5.0]))
    def fail(self, data: st.DataObject, jitter: float, asked: float) -> None:
        attempt, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before = self.circuit.wait(self.now)
        self.circuit.failed(attempt, self.now, jitter=jitter, at_least=asked)
        assert self.circuit.wait(self.now) <= max(BACKOFF.most, asked, before) or before == math.inf
        self.circuit.abandoned(attempt)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        attempt, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.circuit.succeeded()
        self.circuit.abandoned(attempt)
        assert self.circuit.state == "closed"
        self.running = [(one, False) for one, _ in self.running]

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        attempt, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.circuit.abandoned(attempt)

    @invariant()
    def there_is_one_probe_at_most(self) -> None:
        probes = sum(is_probe for _, is_probe in self.running)
        assert probes <= 1
        assert (self.circuit.state == "half_open") == bool(probes)


test_never_a_storm = Storms.TestCase


@given(st.lists(jitter, min_size=1, max_size=30))
def test_pauses_of_a_sink_that_stays_down_grow_to_the_longest_and_no_further(jitters: list[float]) -> None:
    circuit, now = opened(), 0.0
    for probes, one in enumerate(jitters):
        now += circuit.wait(now)
        circuit.failed(circuit.begin(now), now, jitter=one)
        due = min(BACKOFF.most, BACKOFF.first * 2 ** (probes + 1))
        assert due / 2 - 1e-6 <= circuit.wait(now) <= due + 1e-6
