import numpy as np
import pytest

from aiohooks.monitors.ood.products import products


@pytest.mark.parametrize("points", [1, 2, 3])
@pytest.mark.parametrize("rows", [0, 1, 24, 25, 26, 103])
@pytest.mark.parametrize("width", [0, 7])
def test_they_are_those_of_the_matrices(points: int, rows: int, width: int) -> None:
    rng = np.random.default_rng(rows)
    one, other = (rng.standard_normal((count, width)).astype(np.float32) for count in (points, rows))
    found = products(one, other)
    assert (found.shape, found.dtype) == ((points, rows), np.float32)
    np.testing.assert_allclose(found, one @ other.T, atol=1e-5)
