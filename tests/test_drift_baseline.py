import warnings
from pathlib import Path

import numpy as np
import pytest
from drift_fixtures import LABELS, WIDTH, events, fit

from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift import (
    DriftBaseline,
    EventArrays,
    WindowDecision,
    class_drift,
    contributions,
    mean_probabilities,
    merge,
    moved_directions,
    number_drift,
)

BASELINE = fit()


def decide(stream: EventArrays, baseline: DriftBaseline = BASELINE) -> WindowDecision:
    return baseline.decide(baseline.summarise(baseline.project(stream)))


def p_values(decision: WindowDecision) -> dict[str, float]:
    return {result.name: 1.0 if result.p_value is None else result.p_value for result in decision.measures}


def alarms(baseline: DriftBaseline, size: int, windows: int, seed: int, rate: float = 0.05) -> list[bool]:
    stream = baseline.project(events(size * windows, seed))
    parts = [stream.take(slice(size * window, size * (window + 1))) for window in range(windows)]
    return [baseline.decide(baseline.summarise(part)).drifted(rate) for part in parts]


def test_clean_windows_rarely_look_drifted_whatever_their_size() -> None:
    baselines = [fit(seed=seed) for seed in range(6)]
    for size in (5, 20, 60, 100):
        found = [one for seed, baseline in enumerate(baselines) for one in alarms(baseline, size, 40, 7000 + seed)]
        assert 0.005 < np.mean(found) < 0.1, size


def test_the_rate_of_false_alarms_is_the_one_asked_for() -> None:
    for rate in (0.01, 0.1, 0.3):
        assert np.mean(alarms(BASELINE, 30, 300, 5000, rate)) == pytest.approx(rate, abs=0.5 * rate + 0.02)


def test_each_measure_sees_what_it_is_for() -> None:
    clean = decide(events(100, 1))
    assert not clean.drifted()
    assert decide(events(30, 2, moved=1.5)).drifted(0.001)
    moved = decide(events(100, 3, moved=1.0))
    assert min(p_values(moved), key=p_values(moved).__getitem__) in (
        "mean features",
        "random features",
        "fine features",
    )
    labels = decide(events(100, 4, labels=(1, 1, 6)))
    assert labels.drifted(0.001)
    assert p_values(labels)["labels"] < 1e-3 < p_values(labels)["image"]
    dark = decide(events(100, 5, dark=30))
    assert dark.drifted(0.001)
    assert p_values(dark)["image"] < 1e-3
    assert [result.name for result in dark.shown] == ["psi", "jsd"]


def test_too_few_events_are_no_decision() -> None:
    few = decide(events(4, 1, moved=9))
    assert few.p_value is None
    assert not few.drifted(1.0)
    assert few.problem == "4 events are too few: at least 5 are needed"
    assert BASELINE.decide(BASELINE.summarise()).problem == "0 events are too few: at least 5 are needed"


def test_windows_beyond_those_that_were_drawn_are_judged_with_caution() -> None:
    assert BASELINE.largest_window == 120
    assert not decide(events(120, 1)).beyond
    assert decide(events(121, 1)).beyond
    assert np.mean(alarms(BASELINE, 1000, 30, 5)) <= 0.05
    assert decide(events(1000, 3, moved=1)).drifted(0.001)
    largest = BASELINE.summarise(BASELINE.project(events(120, 2, moved=0.3)))
    assert BASELINE.decide(merge([largest] * 10)).p_value == pytest.approx(BASELINE.decide(largest).p_value)


def test_what_is_missing_of_events_is_left_out() -> None:
    whole = events(100, 7, labels=(1, 1, 6), dark=30)
    features = decide(EventArrays.of(whole.features))
    assert [result.name for result in features.measures if result.p_value is not None] == [
        "mean features",
        "random features",
        "fine features",
        "feature norm",
    ]
    assert whole.probabilities is not None
    partly = whole.probabilities.copy()
    partly[::2] = np.nan
    partly[1::20] = 0
    found = decide(EventArrays.of(whole.features, partly, {"brightness": np.full(100, np.nan), "other": np.ones(100)}))
    assert found.p_value is not None
    assert found.measures[-1].p_value is None
    assert p_values(found)["labels"] < 0.01
    with pytest.raises(SpecError, match="features: 1 of 100 events have some that are not finite"):
        BASELINE.project(EventArrays.of(np.where(np.arange(100)[:, None] == 3, np.nan, whole.features)))
    with pytest.raises(SpecError, match="has 12 of an event, not 5"):
        BASELINE.project(EventArrays.of(np.ones((2, 5))))
    with pytest.raises(SpecError, match="has 3 labels, not 2"):
        BASELINE.project(EventArrays.of(np.ones((2, WIDTH)), np.ones((2, 2))))


def test_broken_events_count_as_one_event_each() -> None:
    clean = events(100, 1)
    broken = clean.features.copy()
    broken[0] = 1e80
    assert clean.probabilities is not None
    impossible = np.where(np.arange(100)[:, None] == 1, 1e200, clean.probabilities)
    found = BASELINE.summarise(BASELINE.project(EventArrays.of(broken, impossible, clean.image_stats)))
    assert np.abs(found.sums).max() <= (64 + 100 * 20) * 2**28
    assert BASELINE.decide(found).p_value is not None


# fitting


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 79}, "the baseline has 79 events, which say too little"),
        ({"together": 6}, "together=6: at least 40 runs"),
        ({"windows": 10}, "windows=10: it must be at least 200"),
        ({"random_features": 33}, "random_features=33: it must be even"),
        ({"held_out": events(39, 1)}, "held_out has 39 events"),
        ({"held_out": EventArrays.of(np.ones((90, 3)))}, "held_out: .features, labels, image statistics."),
    ],
)
def test_what_makes_a_baseline_dishonest_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        fit(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((["a"],), "features: these are not numbers"),
        ((np.ones(3),), r"features: an array of shape \(N, width\) is needed, not \(3,\)"),
        ((np.ones((3, 2)), np.ones((2, 2))), "probabilities: there are 2 rows for 3 events"),
        ((np.ones((3, 2)), None, {"x": np.ones(4)}), r"image_stats\['x'\]: there are 4 rows for 3 events"),
        ((np.ones((90, 2)),), "all events have the same"),
        ((np.eye(90), None, {"confidence": np.ones(90)}), "choose another"),
    ],
)
def test_arrays_that_do_not_fit(arrays: tuple[object, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        DriftBaseline.fit_arrays(*arrays)  # type: ignore[arg-type]


def test_training_pictures_as_a_baseline_are_a_warning() -> None:
    seen = events(300, 1000).features
    with pytest.warns(UserWarning, match=r"100% of the baseline's events are of training pictures"):
        baseline = DriftBaseline.fit_arrays(seen, training_features=seen.astype(np.float32), windows=200)
    assert len(baseline.notes) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DriftBaseline.fit_arrays(seen, training_features=events(300, 3).features, windows=200).notes == ()


def test_training_pictures_are_honest_with_part_of_the_stream_held_out() -> None:
    training = events(300, 1)
    # What a model was trained with lies closer to the means of its labels.
    tight = EventArrays.of(training.features * 0.5 + 10, training.probabilities, training.image_stats)
    with pytest.warns(UserWarning, match="differ from those held out, as training pictures do"):
        baseline = DriftBaseline.fit_arrays(
            tight.features,
            tight.probabilities,
            tight.image_stats,
            held_out=events(200, 2),
            windows=400,
            random_features=32,
        )
    assert np.mean(alarms(baseline, 30, 150, 3)) < 0.12


def test_frames_that_are_alike_are_drawn_together() -> None:
    def video(seed: int, shots: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.repeat(rng.normal(0, 1, (shots, 6)), 10, 0) + rng.normal(0, 0.1, (shots * 10, 6))

    options = {"windows": 300, "random_features": 16}
    honest = DriftBaseline.fit_arrays(video(0, 120), together=10, **options)  # type: ignore[arg-type]
    naive = DriftBaseline.fit_arrays(video(0, 120), **options)  # type: ignore[arg-type]
    windows = [EventArrays.of(video(seed, 5)) for seed in range(1, 81)]
    assert np.mean([decide(window, honest).drifted(0.05) for window in windows]) < 0.15
    assert np.mean([decide(window, naive).drifted(0.05) for window in windows]) > 0.6


def test_events_that_are_not_finite_are_left_out_and_told() -> None:
    given = events(200, 1)
    features = given.features.copy()
    features[:7, 0] = np.nan
    with pytest.warns(UserWarning, match="7 of 200 events of the baseline have numbers that are not finite"):
        baseline = DriftBaseline.fit_arrays(features, windows=200)
    assert baseline.decide(baseline.summarise(baseline.project(EventArrays.of(features[7:30])))).p_value is not None


def test_more_features_than_events() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 1, (160, 8)), rng.normal(0, 1, (8, 500))
    baseline = DriftBaseline.fit_arrays(low @ high, windows=300, random_features=64)
    clean = [decide(EventArrays.of(rng.normal(0, 1, (20, 8)) @ high), baseline).drifted(0.05) for _ in range(100)]
    assert np.mean(clean) < 0.15
    assert decide(EventArrays.of(rng.normal(0.8, 1, (20, 8)) @ high), baseline).drifted(0.01)


# keeping


def test_saved_and_loaded_it_decides_the_same_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "baseline.drift"
    BASELINE.save(path)
    loaded = DriftBaseline.load(path)
    assert loaded.identity == BASELINE.identity
    assert loaded.notes == BASELINE.notes
    window = events(50, 3, moved=0.5)
    summary = BASELINE.summarise(BASELINE.project(window))
    assert loaded.summarise(loaded.project(window)) == summary
    assert loaded.decide(summary) == BASELINE.decide(summary)
    assert class_drift(loaded, summary) == class_drift(BASELINE, summary)
    vectors = BASELINE.alarm_vectors(BASELINE.project(window))
    one, other = BASELINE.stream_alarm(), loaded.stream_alarm()
    assert one.update(vectors).tolist() == other.update(vectors).tolist()
    assert one.value == other.value
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LoadError, match="damaged"):
        DriftBaseline.load(path)


def test_the_same_seed_fits_the_same() -> None:
    again = fit()
    assert again.identity == BASELINE.identity
    assert again.null.values.tobytes() == BASELINE.null.values.tobytes()


# insights


def test_which_label_moved() -> None:
    stream = events(90, 8)
    assert stream.probabilities is not None
    label = stream.probabilities.argmax(1)
    features = stream.features.copy()
    features[label == 1, 3] += 1.5
    found = class_drift(BASELINE, BASELINE.summarise(BASELINE.project(EventArrays.of(features, stream.probabilities))))
    assert [one.count for one in found] == np.bincount(label, minlength=LABELS).tolist()
    assert sum(one.share for one in found) == pytest.approx(1)
    assert sum(one.usual_share for one in found) == pytest.approx(1)
    adjusted = [one.adjusted for one in found]
    assert adjusted == [None if one.p_value is None else min(1, 3 * one.p_value) for one in found]
    assert adjusted[1] is not None
    assert adjusted[1] < 1e-3
    assert all(value is not None and value > 0.05 for value in (adjusted[0], adjusted[2]))


def test_labels_by_chance() -> None:
    stream = BASELINE.project(events(60 * 150, 900))
    windows = [BASELINE.summarise(stream.take(slice(start, start + 60))) for start in range(0, len(stream), 60)]
    found = [one.p_value for window in windows for one in class_drift(BASELINE, window)]
    assert np.mean([p is not None and p <= 0.05 for p in found]) == pytest.approx(0.05, abs=0.04)
    few = class_drift(BASELINE, BASELINE.summarise(BASELINE.project(events(9, 1, labels=(1, 1e-9, 1e-9)))))
    assert few[1].p_value is None
    assert few[1].adjusted is None


def test_a_model_without_labels_has_no_drift_of_labels() -> None:
    baseline = DriftBaseline.fit_arrays(events(200, 1).features, windows=200, random_features=16)
    assert class_drift(baseline, baseline.summarise(baseline.project(events(50, 1)))) == ()


def test_mean_probabilities() -> None:
    stream = events(200, 9, labels=(1, 1, 8))
    found, usual = mean_probabilities(BASELINE, BASELINE.summarise(BASELINE.project(stream)))
    assert stream.probabilities is not None
    np.testing.assert_allclose(found, stream.probabilities.mean(0), atol=1e-8)
    assert found[2] > usual[2] + 0.2


def test_numbers_that_moved() -> None:
    stream = events(200, 9, dark=30)
    found = {one.name: one for one in number_drift(BASELINE, BASELINE.summarise(BASELINE.project(stream)))}
    assert set(found) == {"feature norm", "confidence", "brightness"}
    brightness = found["brightness"]
    assert brightness.count == 200
    assert brightness.mean == pytest.approx(stream.image_stats["brightness"].mean(), abs=1e-5)
    assert brightness.usual_mean == pytest.approx(120, abs=4)
    assert brightness.usual_deviation == pytest.approx(20, abs=3)
    assert brightness.shares.sum() == pytest.approx(1)
    assert len(brightness.edges) + 1 == len(brightness.shares) == len(brightness.usual_shares)
    assert brightness.shares[:5].sum() > brightness.usual_shares[:5].sum() + 0.2
    features = BASELINE.summarise(BASELINE.project(EventArrays.of(stream.features)))
    missing = [one for one in number_drift(BASELINE, features) if one.name != "feature norm"]
    assert [one.count for one in missing] == [0, 0]
    assert all(np.isnan(one.mean) and np.isnan(one.shares).all() for one in missing)


def test_the_band_of_a_measure_is_wider_for_smaller_windows() -> None:
    low, high = BASELINE.band("psi", 10)
    assert 0 < low < high
    assert BASELINE.band("psi", 10, 0.5)[1] < high
    assert BASELINE.band("psi", 100)[1] < high
    assert BASELINE.band("psi", 120) == BASELINE.band("psi", 10_000)
    with pytest.raises(SpecError, match="no measure 'x'; there are mean features"):
        BASELINE.band("x", 10)
    with pytest.raises(SpecError, match="between 0 and 1"):
        BASELINE.band("psi", 10, 1)


def test_which_direction_and_which_events_moved() -> None:
    clean, moved = events(50, 10), events(50, 11, moved=4)
    mixed = EventArrays.of(np.concatenate([clean.features, moved.features]))
    projected = BASELINE.project(mixed)
    window = BASELINE.summarise(projected)
    most = moved_directions(BASELINE, window)
    assert len(most) == 5
    assert np.abs(most[0].direction).argmax() == 3
    assert most[0].share > 0.5
    assert most[0].moved * most[0].direction[3] > 0
    shares = contributions(BASELINE, window, projected)
    assert shares.mean() == pytest.approx(1)
    assert shares[50:].mean() > 1.5
    assert shares[:50].mean() < 0.5


def test_baselines_that_compare_with_other_events_are_not_the_same(tmp_path: Path) -> None:
    given = events(400, 1)
    one, other = (
        DriftBaseline.fit_arrays(
            given.features, given.probabilities, given.image_stats, held_out=events(300, seed), windows=200, random_features=32
        )
        for seed in (2, 3)
    )  # fmt: skip
    assert one.identity != other.identity
    one.save(tmp_path / "one")
    assert DriftBaseline.load(tmp_path / "one").identity == one.identity
