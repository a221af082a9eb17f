"""p-values say how many in-distribution pictures are as strange, and screening keeps its promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohooks.errors import SpecError
from aiohooks.monitors.ood.conformal import Survival, conformal_p_values, interpolated, pictures_needed
from aiohooks.monitors.ood.screening import screen

finite = st.floats(-1e6, 1e6, width=32)
calibrations = st.lists(finite, min_size=2, max_size=60).map(lambda values: np.sort(np.array(values)))


@given(calibrations, finite)
def test_a_conformal_p_value_counts(calibration: np.ndarray, value: float) -> None:
    expected = (1 + sum(each >= value for each in calibration)) / (len(calibration) + 1)
    assert conformal_p_values(np.array([value]), calibration) == [expected]


@given(calibrations, st.lists(finite, min_size=2), st.booleans())
def test_what_is_stranger_never_has_a_larger_share(calibration: np.ndarray, values: list[float], smooth: bool) -> None:
    shares = Survival.fit(calibration, smooth_tail=smooth).log_p(np.sort(values))
    assert np.all(np.diff(shares) <= 0)
    assert np.all(shares < 0)


@given(calibrations)
def test_the_share_is_at_most_the_conformal_p_value_and_a_step_less_at_least(calibration: np.ndarray) -> None:
    count = len(calibration)
    shares = np.exp(Survival.fit(calibration, smooth_tail=False).log_p(calibration))
    steps = conformal_p_values(calibration, calibration)
    np.testing.assert_allclose(shares, steps - 1 / (count + 1), rtol=1e-9)


@given(calibrations, finite)
def test_one_value_has_the_share_that_it_has_among_others(calibration: np.ndarray, value: float) -> None:
    survival = Survival.fit(calibration, smooth_tail=False)
    for each in (value, *calibration[:2].tolist(), -np.inf, np.inf):
        assert survival.log_p_of(each) == pytest.approx(survival.log_p(np.array([each]))[0], rel=1e-12)


def test_what_is_not_a_number_is_as_strange_as_can_be() -> None:
    assert interpolated(np.nan, [0.0, 1.0], [0.0, -1.0]) == -np.inf


def test_beyond_all_that_was_seen_the_share_goes_on_falling() -> None:
    survival = Survival.fit(np.arange(100.0), smooth_tail=False)
    shares = survival.log_p(np.array([99.0, 120.0, 1e4, 1e6]))
    assert shares[0] == pytest.approx(np.log(1 / 101))
    assert np.all(np.diff(shares) < -1)


def test_the_rate_asked_for_is_the_rate_on_new_pictures() -> None:
    rng = np.random.default_rng(0)
    for count, rate in ((100, 0.05), (150, 0.01), (300, 0.01)):
        found = []
        for _ in range(400):
            survival = Survival.fit(rng.gamma(3.0, size=count), smooth_tail=False)
            found.append((survival.log_p(rng.gamma(3.0, size=300)) <= np.log(rate)).mean())
        assert 0.85 < np.mean(found) / rate < 1.15, (count, rate)


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.01, 99), (0.3, 3), (0.001, 999)])
def test_the_least_number_of_pictures_for_a_rate(rate: float, needed: int) -> None:
    assert pictures_needed(rate) == needed
    assert 1 / (needed + 1) <= rate * (1 + 1e-9)
    assert 1 / needed > rate


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_that_is_none_is_an_error(rate: float) -> None:
    with pytest.raises(SpecError, match="must be between 0 and 1"):
        pictures_needed(rate)


@given(st.lists(st.floats(1e-6, 1.0), max_size=40), st.floats(0.01, 0.9))
@settings(deadline=None)
def test_screening_is_benjamini_hochberg(p_values: list[float], rate: float) -> None:
    p = np.array(p_values)
    largest = max((k for k in range(1, len(p) + 1) if np.sort(p)[k - 1] <= rate * k / len(p)), default=0)
    expected = p <= np.sort(p)[largest - 1] if largest else np.zeros(len(p), bool)
    np.testing.assert_array_equal(screen(p, rate), expected)


def test_screening_keeps_the_share_of_false_discoveries() -> None:
    rng = np.random.default_rng(1)
    shares, found = [], []
    for _ in range(200):
        calibration = np.sort(rng.normal(size=300))
        values = np.concatenate([rng.normal(size=80), rng.normal(4.0, size=20)])
        chosen = screen(conformal_p_values(values, calibration), 0.1)
        shares.append(chosen[:80].sum() / max(chosen.sum(), 1))
        found.append(chosen[80:].mean())
    assert np.mean(shares) < 0.12
    assert np.mean(found) > 0.7


@pytest.mark.parametrize(("p_values", "rate"), [([0.0], 0.1), ([1.5], 0.1), ([[0.5]], 0.1), ([0.5], 0.0), ([0.5], 1.0)])
def test_screening_refuses_what_is_no_p_value_or_rate(p_values: object, rate: float) -> None:
    with pytest.raises(SpecError):
        screen(p_values, rate)
