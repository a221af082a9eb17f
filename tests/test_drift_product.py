"""Products that take one thread, and are the same whichever rows come together."""

import numpy as np
import pytest

from aiohooks.monitors.drift.product import product


@pytest.mark.parametrize(
    ("count", "depth", "width"), [(1, 1, 1), (7, 5, 3), (64, 1280, 128), (33, 70_000, 2), (0, 4, 2)]
)
def test_it_is_the_product(count: int, depth: int, width: int) -> None:
    rng = np.random.default_rng(0)
    rows, matrix = rng.normal(size=(count, depth)), rng.normal(size=(depth, width))
    found = product(rows, matrix)
    assert found.shape == (count, width)
    assert np.allclose(found, rows @ matrix, rtol=1e-10)
    assert np.allclose(product(rows, np.asfortranarray(matrix)), found, rtol=1e-10)


@pytest.mark.parametrize("depth", [6, 128, 1280])
def test_it_makes_no_difference_which_rows_come_together(depth: int) -> None:
    rng = np.random.default_rng(0)
    rows, matrix = rng.normal(size=(50, depth)), rng.normal(size=(depth, 128))
    whole = product(rows, matrix)
    for step in (1, 3, 4, 7):
        parts = [product(rows[first : first + step], matrix) for first in range(0, 50, step)]
        assert np.array_equal(np.concatenate(parts), whole)
