import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.hooks.backlog import Backlog


@given(st.integers(1, 5), st.integers(1, 100), st.lists(st.one_of(st.none(), st.integers(0, 150)), max_size=60))
def test_both_bounds_hold_and_nothing_is_lost(max_items: int, max_bytes: int, steps: list[int | None]) -> None:
    backlog: Backlog[int] = Backlog(max_items, max_bytes)
    model: list[tuple[int, int]] = []
    for number, nbytes in enumerate(steps):
        if nbytes is None:
            if model:
                assert backlog.pop() == model.pop(0)[0]
        else:
            total = sum(size for _, size in model) + nbytes
            assert backlog.fits(nbytes) is (not model or (len(model) < max_items and total <= max_bytes))
            if backlog.fits(nbytes):
                backlog.put(number, nbytes)
                model.append((number, nbytes))
        assert (len(backlog), backlog.nbytes) == (len(model), sum(size for _, size in model))


def test_nothing_to_pop() -> None:
    with pytest.raises(IndexError):
        Backlog(1, 1).pop()
