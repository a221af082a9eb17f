import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.monitors.drift.bins import bin_of, edges_of
from aiohooks.monitors.drift.cluster_shift import ClusterShift, jensen_shannon, population_stability
from aiohooks.monitors.drift.clusters import k_means, nearest
from aiohooks.monitors.drift.covariance import spread
from aiohooks.monitors.drift.histogram_shift import HistogramShift
from aiohooks.monitors.drift.label_shift import LabelShift
from aiohooks.monitors.drift.mean_shift import MeanShift
from aiohooks.monitors.drift.measure import Totals
from aiohooks.monitors.drift.null import Null, null_of, sizes_up_to
from aiohooks.monitors.drift.training import share_seen

RNG = np.random.default_rng(3)


def totals(*sums: list[float], count: float | None = None) -> Totals:
    rows = np.array(sums, float)
    return Totals(rows.sum(1) if count is None else np.full(len(rows), count), rows)


@pytest.mark.parametrize(("count", "width"), [(200, 8), (12, 30)])
def test_shrunk_covariance_is_that_of_ledoit_and_wolf(count: int, width: int) -> None:
    samples = RNG.normal(0, 1, (count, width)) * np.linspace(1, 3, width)
    centred = samples - samples.mean(0)
    covariance = centred.T @ centred / count
    average = np.trace(covariance) / width
    target = average * np.eye(width)
    dispersion = ((covariance - target) ** 2).sum()
    noise = sum(((np.outer(row, row) - covariance) ** 2).sum() for row in centred) / count**2
    shrinkage = min(noise / dispersion, 1)
    expected = (1 - shrinkage) * covariance + shrinkage * target
    found = spread(samples)
    assert found.directions.shape == (width, min(width, count - 1))
    within = found.directions.T @ expected @ found.directions
    np.testing.assert_allclose(within, np.diag(found.deviations**2), atol=1e-9)
    np.testing.assert_allclose(found.directions.T @ found.directions, np.eye(len(found.deviations)), atol=1e-9)


def test_samples_that_are_all_the_same_have_no_direction() -> None:
    assert spread(np.ones((5, 3))).directions.shape == (3, 0)


def test_t_squared_is_hotellings() -> None:
    one, other = RNG.normal(0, 1, (9, 4)), RNG.normal(0.5, 1, (30, 4))
    known = spread(RNG.normal(0, 2, (50, 4)))
    covariance = known.directions @ np.diag(known.deviations**2) @ known.directions.T
    difference = one.mean(0) - other.mean(0)
    expected = difference @ np.linalg.inv(covariance) @ difference / (1 / 9 + 1 / 30) / 4
    measure = MeanShift("t", slice(0, 4), known)
    found = measure(totals(one.sum(0).tolist(), count=9), totals(other.sum(0).tolist(), count=30))
    assert found == pytest.approx([expected])


def test_anderson_and_darling_over_bins() -> None:
    window, reference = [2, 0, 6], [10, 20, 10]
    expected = 0.0
    for below, of_reference in ((2, 10), (2, 30)):
        usual = (of_reference + 0.5) / 41
        expected += (below / 8 - of_reference / 40) ** 2 / (usual * (1 - usual)) / 2
    measure = HistogramShift("h", (slice(0, 3),))
    assert measure(totals(window), totals(reference)) == pytest.approx([expected / (1 / 8 + 1 / 40)])


def test_label_shift_of_certain_probabilities_is_pearsons() -> None:
    reference, window = np.array([30.0, 30, 40]), np.array([10.0, 2, 8])
    share = reference / 100
    measure = LabelShift("l", slice(0, 3), slice(3, 6), share)
    found = measure(totals([*window, *window], count=20), totals([*reference, *reference], count=100))
    pearson = ((window - 20 * share) ** 2 / (20 * share)).sum()
    assert found == pytest.approx([pearson / 20 / 3 / (1 / 20 + 1 / 100)])


def test_population_stability_and_jensen_shannon() -> None:
    window, reference = np.array([[3.0, 7.0]]), np.array([[49.0, 49.0]])
    p, q = (50 / 100, 50 / 100), (4 / 12, 8 / 12)
    psi = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert population_stability(window, reference) == pytest.approx([psi])
    middle = (0.4, 0.6)
    halves = [sum(a * math.log2(a / m) for a, m in zip(one, middle, strict=True)) for one in ((0.5, 0.5), (0.3, 0.7))]
    assert jensen_shannon(window, reference) == pytest.approx([math.sqrt(sum(halves) / 2)])
    assert jensen_shannon(np.array([[5, 0]]), np.array([[0, 9]])) == pytest.approx([1])
    assert ClusterShift("jsd", slice(1, 3), jensen_shannon)(totals([7, 5, 5]), totals([1, 9, 9])) == pytest.approx([0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(2, 20))
def test_bins_are_filled_alike_and_take_in_everything(values: list[float], bins: int) -> None:
    numbers = np.array(values)
    edges = edges_of(numbers, bins)
    places = bin_of(np.array([*values, -np.inf, np.nan, -1e9, 1e9]), edges)
    assert (np.diff(edges) > 0).all()
    assert places[: len(values)].min() >= 0
    assert places[: len(values)].max() <= len(edges)
    assert places[len(values) :].tolist() == [-1, -1, 0, len(edges)]
    if len(set(values)) == len(values) > bins:
        assert np.bincount(places[: len(values)]).max() <= math.ceil(len(values) / bins) + 1


def test_a_number_that_is_always_the_same_has_bins_below_and_above() -> None:
    edges = edges_of(np.full(9, 640.0), 20)
    assert bin_of(np.array([639.0, 640.0, 641.0]), edges).tolist() == [0, 1, 2]


def test_clusters_find_what_is_apart() -> None:
    centres = np.array([[0.0, 0], [20, 0], [0, 20]])
    points = np.concatenate([centre + RNG.normal(0, 1, (30, 2)) for centre in centres])
    found = k_means(points, 3, np.random.default_rng(0))
    assert np.abs(found[nearest(centres, found)] - centres).max() < 1
    assert len(k_means(np.ones((9, 2)), 4, np.random.default_rng(0))) == 1


# what is usual


def test_windows_are_drawn_with_runs_together() -> None:
    rows = np.arange(60, dtype=np.float32)[:, None]
    drawn: list[np.ndarray] = []

    class Spy:
        name = "spy"

        def events(self, window: Totals) -> np.ndarray:
            return window.counts

        def __call__(self, window: Totals, reference: Totals) -> np.ndarray:
            drawn.append(window.sums[:, 0])
            np.testing.assert_allclose(window.sums + reference.sums, rows.sum())
            return window.counts

    null_of(rows, [Spy()], np.array([5]), windows=50, together=5, rng=np.random.default_rng(0))
    assert {float(total) for total in drawn[0]} <= {float(sum(range(start, start + 5))) for start in range(0, 60, 5)}
    null_of(rows, [Spy()], np.array([30]), windows=50, together=1, rng=np.random.default_rng(0))
    assert len(set(drawn[1])) > 25


def test_p_values_by_chance_are_uniform() -> None:
    sizes = sizes_up_to(5, 100)
    assert sizes[0] == 5
    assert sizes[-1] == 100
    null = Null(sizes, RNG.gamma(8, 1, (len(sizes), 2000, 2)).astype(np.float32))
    fresh = RNG.gamma(8, 1, (2000, 2))
    for count in (5, 6, 77, 100, 1000):
        found = np.array([null.p_values(values, np.array([count, count])) for values in fresh])
        combined = np.array([null.combined(values, np.array([1.0, 2.0]), count) for values in found])
        for p_values in (*found.T, combined):
            assert np.quantile(p_values, [0.01, 0.05, 0.5]) == pytest.approx([0.01, 0.05, 0.5], rel=0.5)
            assert (p_values <= 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_p_values_fall_with_the_value_beyond_all_that_were_drawn() -> None:
    null = Null(np.array([5]), RNG.gamma(8, 1, (1, 500, 1)).astype(np.float32))
    found = [null.p_values(np.array([value]), np.array([5.0]))[0] for value in np.linspace(0, 200, 400)]
    assert (np.diff(found) <= 0).all()
    assert 0 < found[-1] < 1e-10
    assert null.p_values(np.array([200.0]), np.array([4.0])).tolist() == [1]


def test_training_pictures_are_recognised_but_for_rounding() -> None:
    training = RNG.normal(0, 1, (300, 10))
    features = np.concatenate([training[:30].astype(np.float16), RNG.normal(0, 1, (70, 10))])
    assert share_seen(features, training) == pytest.approx(0.3)


@pytest.mark.parametrize("rate", [0.05, 0.001])
def test_several_measures_together_are_as_rare_by_chance_as_they_are_said_to_be(rate: float) -> None:
    rng = np.random.default_rng(0)
    weights = np.array([1.0, 2.0, 1.0, 0.25, 0.25, 1.0])
    # Of measures that do not depend on each other, and are exponential by chance: the value that is passed at this rate.
    values = rng.exponential(size=(100_000, 6))
    ranked = np.argsort(np.exp(values / 4) @ weights)
    at_rate = values[ranked[round(len(values) * (1 - rate))]]
    told = []
    for _ in range(8):
        null = Null(np.array([20]), rng.exponential(size=(1, 2000, 6)).astype(np.float32))
        p_values = null.p_values(at_rate, np.full(6, 20.0))
        told.append(null.combined(p_values, weights, 20))
    assert rate / 1.5 < np.exp(np.mean(np.log(told))) < rate * 1.5
