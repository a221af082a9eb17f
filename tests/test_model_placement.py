import threading

from hypothesis import given
from hypothesis import strategies as st

from aiohooks.inference.placement import LIMIT_SECONDS, Placement, exact_clock

CHEAP = LIMIT_SECONDS / 10
DEAR = LIMIT_SECONDS * 10


def after(*costs: float) -> Placement:
    placement = Placement()
    for cost in costs:
        placement.record(cost)
    return placement


def test_unknown_work_starts_in_a_worker_thread() -> None:
    assert not after().on_loop
    assert not after(CHEAP).on_loop


def test_cheap_work_moves_to_the_loop_although_the_first_call_was_slow() -> None:
    assert after(1.0, *[CHEAP] * 6).on_loop


def test_dear_work_stays_in_a_worker_thread() -> None:
    assert not after(*[DEAR] * 50).on_loop


def test_work_that_becomes_dear_leaves_the_loop_and_comes_back_when_it_is_cheap_again() -> None:
    placement = after(*[CHEAP] * 10)
    placement.record(DEAR)
    assert not placement.on_loop
    for _ in range(20):
        placement.record(CHEAP)
    assert placement.on_loop


def test_what_may_be_waiting_does_not_count_but_is_looked_at_closely() -> None:
    placement = after(*[CHEAP] * 10)
    for _ in range(5):
        placement.record(DEAR, is_exact=False)
    assert placement.on_loop
    placement.run(lambda: burn(DEAR))
    assert not placement.on_loop


def test_a_long_wait_on_the_loop_does_not_move_the_work() -> None:
    placement = after(*[CHEAP] * 10)
    gate = threading.Event()
    for _ in range(5):
        placement.run(gate.wait, DEAR)
    assert placement.on_loop


def test_work_that_takes_cpu_time_on_the_loop_leaves_it() -> None:
    placement = after(*[CHEAP] * 10)
    for _ in range(3):
        placement.run(burn, DEAR)
    assert not placement.on_loop


def burn(seconds: float) -> None:
    end = exact_clock() + seconds
    while exact_clock() < end:
        pass


def test_a_cost_near_the_limit_leaves_it_where_it_is() -> None:
    near = LIMIT_SECONDS * 0.8
    below, above = after(*[CHEAP] * 10), after(*[LIMIT_SECONDS * 1.2] * 10)
    for _ in range(30):
        below.record(near)
        above.record(near)
    assert below.on_loop
    assert not above.on_loop


@given(st.lists(st.floats(0, 0.1), max_size=60))
def test_it_is_on_the_loop_only_while_the_average_is_under_the_limit(costs: list[float]) -> None:
    placement = Placement()
    for cost in costs:
        placement.record(cost)
        assert not placement.on_loop or (placement.cost is not None and placement.cost <= LIMIT_SECONDS)
