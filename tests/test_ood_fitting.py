"""What an OOD model is fitted on: pictures kept apart, a bank that is quick, and a fit that can be ended."""

import logging
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ood_pictures import World

from aiohooks.errors import SpecError
from aiohooks.monitors.ood import OODModel, bank
from aiohooks.monitors.ood.bank import quick_size
from aiohooks.monitors.ood.batch import Batch
from aiohooks.monitors.ood.combination import auroc
from aiohooks.monitors.ood.splitting import blocks, split
from aiohooks.monitors.ood.whitening import Whitening

WORLD = World.make()
FEATURES, LOGITS, LABELS = WORLD.usual(300, 1)
CALIBRATION = WORLD.usual(200, 2)[:2]
FRESH = WORLD.usual(400, 3)[:2]


def fit(**changes: object) -> OODModel:
    return OODModel.fit_arrays(FEATURES, LOGITS, LABELS, **{"calibration": CALIBRATION} | changes)


# apart


def test_calibration_pictures_that_are_training_pictures_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    leaking = tuple(
        np.concatenate([own[:80], other]) for own, other in zip((FEATURES, LOGITS), CALIBRATION, strict=True)
    )
    model = fit(calibration=leaking)
    assert "80 of 280 pictures are left out, because they are training pictures too" in caplog.text
    assert model.p_value(*FRESH).tobytes() == fit().p_value(*FRESH).tobytes()
    with pytest.raises(SpecError, match="calibration: 80 of 109 pictures are training pictures"):
        fit(calibration=tuple(part[:109] for part in leaking))


def test_models_that_share_pictures_combine_without_calibrating_on_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one, other = (OODModel.fit_arrays(FEATURES, LOGITS, LABELS, seed=seed) for seed in (0, 1))
    both = OODModel.combine([one, other])
    assert "are left out, because they are training pictures too" in caplog.text
    assert both.calibration_size < one.calibration_size + other.calibration_size


@given(
    st.lists(st.integers(0, 200), min_size=75, max_size=200),
    st.none() | st.lists(st.integers(0, 60), min_size=200, max_size=200),
    st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_what_is_alike_is_not_divided(values: list[int], groups: list[int] | None, seed: int) -> None:
    features = np.array(values, np.float32)[:, None]
    given_groups = None if groups is None else np.array(groups[: len(values)])
    try:
        training, aside = split(features, given_groups, np.random.default_rng(seed))
    except SpecError as error:
        assert "set aside" in str(error)  # noqa: PT017
        return
    assert sorted([*training, *aside]) == list(range(len(values)))
    assert 30 <= len(aside) <= 0.4 * len(values) + 1
    assert not {*features[training, 0]} & {*features[aside, 0]}
    if given_groups is not None:
        assert not {*given_groups[training]} & {*given_groups[aside]}


def test_an_archive_of_few_pictures_copied_often_is_an_error_of_the_pictures() -> None:
    with pytest.raises(SpecError, match=r"^features: where no calibration is given, .* their 2 groups") as error:
        OODModel.fit_arrays(np.repeat(FEATURES[:2], 100, axis=0))
    assert "leave calibration out" not in str(error.value)


def test_frames_of_a_video_are_set_aside_in_stretches() -> None:
    _, aside = split(
        np.random.default_rng(0).normal(size=(1003, 2)).astype(np.float32), blocks(1003), np.random.default_rng(0)
    )
    assert len(aside) > 300
    assert np.sum(np.diff(aside) > 1) < 10
    assert set(Counter(blocks(1003).tolist()).values()) <= {51, 1003 % 51}


def test_groups_go_by_what_the_caller_says(caplog: pytest.LogCaptureFixture) -> None:
    OODModel.fit_arrays(FEATURES, LOGITS, groups=np.arange(300) // 3, scores=["msp"])
    assert (
        "120 of 300 are set aside; false-alarm rates hold only if the network was not trained on these" in caplog.text
    )
    with pytest.raises(SpecError, match="groups: 300 whole numbers are needed"):
        OODModel.fit_arrays(FEATURES, LOGITS, groups=np.arange(299))
    with pytest.raises(SpecError, match=r"their 2 groups .* leave only 0"):
        OODModel.fit_arrays(FEATURES, LOGITS, groups=np.arange(300) % 2)


# length


def test_features_are_not_judged_by_their_direction_alone() -> None:
    model = OODModel.fit_arrays(FEATURES, calibration=CALIBRATION[0])
    for scale in (0.2, 5.0, 1e25):
        assert auroc(model.score(FRESH[0]), model.score(FRESH[0] * np.float32(scale))) > 0.95


@pytest.mark.parametrize("scale", [1e-19, 1.0, 1e30])
def test_features_have_the_length_1_whatever_they_had(scale: float) -> None:
    unit = Batch(FEATURES * np.float32(scale)).unit
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(unit, Batch(FEATURES).unit, rtol=1e-5, atol=1e-7)


# bank


@pytest.mark.parametrize(("width", "size", "directions"), [(128, 2048, 128), (768, 500, 85), (1280, 500, 64)])
def test_wide_features_keep_less_of_everything(width: int, size: int, directions: int) -> None:
    rng = np.random.default_rng(0)
    whitening = Whitening.fit(rng.normal(size=(140, width)).astype(np.float32), np.zeros(140, np.int64), unit=True)
    assert (quick_size(width), len(whitening.directions)) == (size, min(directions, 128))


def test_the_default_bank_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank, "_LEAST_QUICK", 50)
    monkeypatch.setattr(bank, "QUICK_NUMBERS", 24 * 70)
    model = fit()
    assert len(model.explain(FRESH[0][0], FRESH[1][0], neighbours=1000).neighbours) == 70
    assert (
        len(OODModel.combine([model, fit(seed=1)]).explain(FRESH[0][0], FRESH[1][0], neighbours=1000).neighbours) == 70
    )


# ended


@pytest.mark.parametrize("where", ["covariance", "coordinates", "bank", "measures"])
def test_what_the_progress_raises_ends_the_fit(where: str) -> None:
    class EndedError(Exception):
        pass

    def step(what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if what == where:
            raise EndedError

    with pytest.raises(EndedError):
        fit(max_bank=50, progress=step)


def test_too_few_strange_pictures_to_learn_from_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert not fit(out_of_distribution=WORLD.strange(39, 4)).learned
    assert "nothing is learned from 39 strange and 200 calibration pictures; that takes 40 and 160" in caplog.text
