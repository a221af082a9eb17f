"""An OOD model ranks what is strange above what is usual, raises as many false alarms as asked, and survives its file."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
from ood_pictures import WIDTH, World

from aiohooks.array_file import read_arrays, write_arrays
from aiohooks.errors import LoadError, SpecError
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood import OODModel
from aiohooks.monitors.ood.batch import Batch
from aiohooks.monitors.ood.combination import auroc
from aiohooks.monitors.ood.scores import DEFAULT, SCORES, WIDE, WIDE_WITHOUT_LOGITS, WITHOUT_LOGITS

WORLD = World.make()
FEATURES, LOGITS, LABELS = WORLD.usual(300, 1)
CALIBRATION = WORLD.usual(200, 2)[:2]
FRESH = WORLD.usual(400, 3)[:2]
STRANGE = WORLD.strange(200, 4)
ALL_BUT_COOD = tuple(name for name in SCORES if name != "cood")


def fit(**changes: object) -> OODModel:
    return OODModel.fit_arrays(
        FEATURES, LOGITS, LABELS, **{"calibration": CALIBRATION, "last_layer": WORLD.layer} | changes
    )


@pytest.fixture(scope="module")
def model() -> OODModel:
    return fit(names=[f"{i}.png" for i in range(len(FEATURES))])


def test_strange_pictures_rank_above_usual_ones(model: OODModel) -> None:
    assert model.measures == DEFAULT
    assert auroc(model.score(*FRESH), model.score(*STRANGE)) > 0.97


@pytest.mark.parametrize("name", ALL_BUT_COOD)
def test_every_measure_is_finite_and_alike_before_and_after_saving(name: str, tmp_path: Path) -> None:
    model = fit(scores=[name])
    usual = model.p_value(*FRESH)
    assert np.all(np.isfinite(usual))
    assert np.all((usual > 0) & (usual <= 1))
    model.save(tmp_path / "model.ood")
    assert OODModel.load(tmp_path / "model.ood").p_value(*FRESH).tobytes() == usual.tobytes()


def test_the_score_is_half_at_a_p_value_of_five_percent(model: OODModel) -> None:
    p, score = model.p_value(*FRESH), model.score(*FRESH)
    np.testing.assert_array_equal(score, 0.05 / (0.05 + p))
    np.testing.assert_array_equal(score >= 0.5, p <= 0.05)
    assert np.all((score >= 0) & (score <= 1))


def test_one_frame_is_a_number_and_many_are_an_array(model: OODModel) -> None:
    alone = [model.score(f, z) for f, z in zip(*FRESH, strict=True)]
    assert isinstance(alone[0], float)
    np.testing.assert_array_equal(alone, model.score(*FRESH))
    assert alone == [model.score(f, z) for f, z in zip(*FRESH, strict=True)]


@pytest.mark.parametrize("scores", [DEFAULT, WITHOUT_LOGITS, ("knn", "mahalanobis_unit")])
@pytest.mark.parametrize("scale", [1, 1e-30, 1e-12, 1e12, 1e25, 0])
def test_at_a_glance_is_what_the_measures_say_one_by_one(scores: tuple[str, ...], scale: float) -> None:
    frames = np.concatenate([FRESH[0][:50], STRANGE[0][:50]]) * np.float32(scale)
    assert_alike(fit(scores=scores), Batch(frames, np.concatenate([FRESH[1][:50], STRANGE[1][:50]])))


WIDE_WORLD = World.make(width=160)


def few(world: World = WIDE_WORLD, **changes: object) -> OODModel:
    """Fit on fewer pictures than a feature vector has numbers, none of which is negative."""
    features, logits, labels = positive(world.usual(100, 1))
    calibration = positive(world.usual(200, 2))
    given: dict[str, object] = {"logits": logits, "labels": labels, "calibration": calibration[:2]} | changes
    return OODModel.fit_arrays(features, **given)


def positive(pictures: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return (np.maximum(pictures[0], 0), *pictures[1:])


def test_few_pictures_are_judged_by_other_measures_of_square_roots() -> None:
    model = few()
    assert model.measures == WIDE
    assert model._parts.bank.whitening.rooted
    usual, strange = positive(WIDE_WORLD.usual(300, 3)), positive(WIDE_WORLD.strange(200, 4))
    assert auroc(model.score(*usual[:2]), model.score(*strange)) > 0.97
    without = few(logits=None, calibration=positive(WIDE_WORLD.usual(200, 2))[0])
    assert without.measures == WIDE_WITHOUT_LOGITS
    assert auroc(without.score(usual[0]), without.score(usual[0] * 30)) > 0.8


def test_few_pictures_of_one_class_or_with_negative_numbers_are_judged_by_what_there_is() -> None:
    assert few(labels=np.zeros(100, np.int64)).measures == tuple(name for name in WIDE if name != "discriminant")
    features, logits, labels = WIDE_WORLD.usual(100, 1)
    model = OODModel.fit_arrays(features, logits, labels, calibration=WIDE_WORLD.usual(200, 2)[:2])
    assert features.min() < 0
    assert model.measures == WIDE
    assert not model._parts.bank.whitening.rooted


@pytest.mark.parametrize("without_logits", [False, True])
@pytest.mark.parametrize("scale", [1, 1e-30, 1e-12, 1e12, 1e25, 0])
def test_few_pictures_at_a_glance_are_what_the_measures_say(without_logits: bool, scale: float) -> None:
    frames, logits, _ = positive(WIDE_WORLD.usual(50, 3))
    changes = {"logits": None, "calibration": positive(WIDE_WORLD.usual(200, 2))[0]} if without_logits else {}
    # The discriminant is what is left of numbers a thousand times as large, in float32.
    assert_alike(few(**changes), Batch(frames * np.float32(scale), logits), atol=2e-3)


def assert_alike(model: OODModel, batch: Batch, atol: float = 1e-6) -> None:
    parts = model._parts
    glance = parts.glance
    assert glance is not None
    seen = [glance._look(row, energy) for row, energy in zip(batch.features, batch.energy, strict=True)]
    for (measure, _, _), score in zip(glance._terms, parts.scores, strict=True):
        np.testing.assert_allclose([measure(each) for each in seen], score(batch), rtol=2e-4, atol=atol)


def test_a_bank_that_one_product_would_share_among_threads_is_looked_through_in_parts() -> None:
    rng = np.random.default_rng(0)
    many, held = rng.standard_normal((4000, 96), np.float32), rng.standard_normal((200, 96), np.float32)
    model = OODModel.fit_arrays(many, calibration=held, max_bank=None)
    assert model._parts.glance is not None
    assert len(model._parts.glance._blocks) > 1
    assert_alike(model, Batch(held, np.zeros((200, 2))))


def test_measures_that_are_not_the_default_ones_are_asked_one_by_one() -> None:
    assert fit(scores=["knn", "vim"])._parts.glance is None
    assert fit(scores=["energy"])._parts.glance is None


def test_false_alarms_are_as_many_as_asked_for() -> None:
    pool = WORLD.usual(900, 9)[:2]
    rates = []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(900)
        calibration, fresh = order[:400], order[400:]
        model = fit(
            calibration=(pool[0][calibration], pool[1][calibration]), scores=["knn", "energy_two_sided"], seed=seed
        )
        p = model.p_value(pool[0][fresh], pool[1][fresh])
        rates.append([(p <= 0.1).mean() / 0.1, (p <= 0.05).mean() / 0.05])
    assert np.all(np.abs(np.mean(rates, axis=0) - 1) < 0.3), np.mean(rates, axis=0)


def test_a_part_is_set_aside_where_no_calibration_is_given() -> None:
    model = OODModel.fit_arrays(*WORLD.usual(1000, 5)[:2])
    assert model.calibration_size == 300
    p = model.p_value(*WORLD.usual(2000, 6)[:2])
    assert 0.02 < (p <= 0.05).mean() < 0.09
    assert auroc(-p, -model.p_value(*STRANGE)) > 0.95


def test_features_alone_will_do() -> None:
    model = OODModel.fit_arrays(FEATURES, calibration=CALIBRATION[0])
    assert not model.needs_logits
    assert model.classes is None
    assert model.measures == WITHOUT_LOGITS
    assert model.weights == (1, 1, 1, 1, 0.5)
    assert auroc(model.score(FRESH[0]), model.score(STRANGE[0])) > 0.9
    assert model.score(FRESH[0], FRESH[1]).tobytes() == model.score(FRESH[0]).tobytes()


def test_the_last_layer_gives_the_logits_that_are_not_given(model: OODModel) -> None:
    assert model.needs_logits
    np.testing.assert_allclose(model.p_value(FRESH[0]), model.p_value(*FRESH), rtol=1e-3)


def test_logarithms_of_probabilities_will_do_for_logits() -> None:
    def log_probabilities(logits: np.ndarray) -> np.ndarray:
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    model = OODModel.fit_arrays(
        FEATURES,
        log_probabilities(LOGITS),
        calibration=(CALIBRATION[0], log_probabilities(CALIBRATION[1])),
        scores=["energy_two_sided"],
    )
    far = np.concatenate([5 * FRESH[1], 0.05 * FRESH[1]])
    usual = model.p_value(FRESH[0], log_probabilities(FRESH[1]))
    strange = model.p_value(np.concatenate([FRESH[0]] * 2), log_probabilities(far))
    assert auroc(-usual, -strange) > 0.8
    assert 0.01 < (usual <= 0.05).mean() < 0.1


def test_more_numbers_than_pictures() -> None:
    world = World.make(1, width=400)
    features, logits, labels = world.usual(120, 1)
    model = OODModel.fit_arrays(features, logits, labels, calibration=world.usual(120, 2)[:2])
    assert auroc(model.score(*world.usual(300, 3)[:2]), model.score(*world.strange(300, 4))) > 0.75


def test_a_reason_is_given(model: OODModel) -> None:
    why = model.explain(STRANGE[0][0], STRANGE[1][0], neighbours=3)
    assert why.score == model.score(STRANGE[0][0], STRANGE[1][0])
    assert {measure.name for measure in why.measures} == set(DEFAULT)
    assert why.strongest.p_value == min(measure.p_value for measure in why.measures)
    unit = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    distances = np.linalg.norm(unit - STRANGE[0][0] / np.linalg.norm(STRANGE[0][0]), axis=1)
    nearest = np.argsort(distances)[:3]
    assert [n.index for n in why.neighbours] == nearest.tolist()
    assert [n.name for n in why.neighbours] == [f"{i}.png" for i in nearest]
    np.testing.assert_allclose([n.distance for n in why.neighbours], distances[nearest], atol=1e-4)
    with pytest.raises(SpecError, match="one frame"):
        model.explain(*STRANGE)


def test_a_saved_model_scores_bit_by_bit_alike(model: OODModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.ood")
    loaded = OODModel.load(tmp_path / "model.ood")
    assert loaded.p_value(*FRESH).tobytes() == model.p_value(*FRESH).tobytes()
    assert loaded.score(FRESH[0][0], FRESH[1][0]) == model.score(FRESH[0][0], FRESH[1][0])
    assert loaded.explain(FRESH[0][0], FRESH[1][0]) == model.explain(FRESH[0][0], FRESH[1][0])
    assert (loaded.width, loaded.calibration_size, loaded.nbytes) == (WIDTH, 150, model.nbytes)
    loaded.save(tmp_path / "again.ood")
    assert (tmp_path / "again.ood").read_bytes() == (tmp_path / "model.ood").read_bytes()
    assert fit().p_value(*FRESH).tobytes() == model.p_value(*FRESH).tobytes()


def test_a_file_that_is_none_is_an_error(model: OODModel, tmp_path: Path) -> None:
    path = tmp_path / "model.ood"
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(LoadError, match="bytes and should have"):
        OODModel.load(path)
    path.write_bytes(whole[:-5000] + bytes([whole[-5000] ^ 1]) + whole[-4999:])
    with pytest.raises(LoadError, match="the checksum of its array"):
        OODModel.load(path)
    path.write_bytes(whole)
    file = read_arrays(path, kind="an OOD model", version=1)
    for changes, message in (
        ({"version": 2}, "newer aiohooks"),
        ({"kind": "a drift baseline"}, "of a drift baseline, not of an OOD model"),
        ({"fields": {"parts": [["os.system", {}]], "facts": {}}}, "cannot be put together"),
        ({"fields": {"parts": [], "facts": {}}}, "cannot be put together"),
        ({"fields": file.fields | {"facts": {}}}, "parts of this OOD model are missing"),
        ({"arrays": {}}, "cannot be put together"),
    ):
        write_arrays(
            path, **{"kind": "an OOD model", "version": 1, "fields": file.fields, "arrays": file.arrays} | changes
        )
        with pytest.raises(LoadError, match=message):
            OODModel.load(path)


@pytest.mark.parametrize(
    ("features", "logits", "message"),
    [
        (np.zeros(WIDTH + 1), None, f"features: {WIDTH} numbers a row are needed, got {WIDTH + 1}"),
        (np.zeros((2, WIDTH + 1)), None, f"features: {WIDTH} numbers"),
        (np.zeros((2, 2, WIDTH)), None, "rows of numbers"),
        (np.full(WIDTH, np.nan), None, "NaN or infinity"),
        (np.zeros(WIDTH), np.zeros(3), "logits: 4 numbers"),
        (np.zeros((2, WIDTH)), np.zeros((3, 4)), "logits: 2 rows"),
        ("features", None, "numbers are needed"),
    ],
)
def test_frames_that_do_not_fit(model: OODModel, features: object, logits: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        model.score(features, logits)


def test_the_pictures_needed_are_told_as_they_are_given() -> None:
    aside = OODModel.fit_arrays(*WORLD.usual(300, 5)[:2], scores=["msp"])
    with pytest.raises(
        SpecError, match=r"0.005 needs 265 calibration pictures \(or 662 pictures in all\), and"
    ) as error:
        aside.check_rate(0.005)
    in_all = int(str(error.value).split("(or ")[1].split()[0])
    OODModel.fit_arrays(*WORLD.usual(in_all, 5)[:2], scores=["msp"]).check_rate(0.005)
    with pytest.raises(SpecError, match="needs"):
        OODModel.fit_arrays(*WORLD.usual(in_all - 1, 5)[:2], scores=["msp"]).check_rate(0.005)
    with pytest.raises(
        SpecError, match=r"needs 10,499 calibration pictures \(pass calibration=: no more are set aside\)"
    ):
        aside.check_rate(0.0001)


def test_logits_are_asked_for() -> None:
    with pytest.raises(SpecError, match=r"scores with logits \(4 for each frame\), and none are given"):
        fit(last_layer=None).score(FRESH[0])


def test_extreme_frames_are_as_strange_as_can_be(model: OODModel) -> None:
    for features in (np.zeros(WIDTH), np.full(WIDTH, 1e30), np.full(WIDTH, -1e4)):
        assert model.score(features) > 0.99
        assert 0 < model.p_value(features) < 0.001


def test_a_rate_that_the_calibration_is_too_small_for(model: OODModel) -> None:
    model.check_rate(0.01)
    with pytest.raises(
        SpecError, match=r"0.001 needs 1,331 calibration pictures, .* with 200, of which 150 give"
    ) as error:
        model.check_rate(0.001)
    needed = int(str(error.value).split(" needs ")[1].split()[0].replace(",", ""))
    features, logits, _ = WORLD.usual(needed, 8)
    fit(calibration=(features, logits), scores=["msp"]).check_rate(0.001)
    with pytest.raises(SpecError, match="needs"):
        fit(calibration=(features[1:], logits[1:]), scores=["msp"]).check_rate(0.001)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": (CALIBRATION[0][:, 1:], CALIBRATION[1])}, "calibration: 24 numbers"),
        ({"calibration": CALIBRATION[0], "last_layer": None}, "calibration: give its logits too"),
        (
            {"calibration": (*CALIBRATION, None, None)},
            r"calibration: give features, or \(features, logits\), not 4 arrays",
        ),
        (
            {"calibration": (CALIBRATION[0][:20], CALIBRATION[1][:20])},
            "calibration: at least 30 pictures are needed, got 20",
        ),
        ({"calibration": (FEATURES, LOGITS)}, "calibration: 300 of 300 pictures are training pictures"),
        ({"scores": ["knm"]}, "there is no measure 'knm'; there are nearest, knn"),
        ({"scores": []}, "different names of measures"),
        ({"scores": ["knn", "knn"]}, "different names of measures"),
        ({"scores": ["vim"], "last_layer": None}, "vim needs what is not given: last layer"),
        ({"scores": ["cood"]}, "cood needs what is not given: out of distribution"),
        ({"names": ["a"]}, "names: 300 are needed"),
        ({"max_bank": 0}, "max_bank: at least 1"),
        ({"last_layer": LastLayer(np.zeros((4, 5)), np.zeros(4))}, r"last_layer: its weights are \(4, 5\)"),
    ],
)
def test_what_cannot_be_fitted(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        fit(**changes)


def test_labels_of_calibration_pictures_change_nothing() -> None:
    with_labels = fit(calibration=WORLD.usual(200, 2))
    assert with_labels.score(*FRESH).tolist() == fit().score(*FRESH).tolist()


def test_labels_that_do_not_fit_and_too_few_pictures() -> None:
    for labels in (LABELS[1:], LABELS.astype(float)):
        with pytest.raises(SpecError, match="labels: 300 whole numbers"):
            OODModel.fit_arrays(FEATURES, LOGITS, labels)
    with pytest.raises(SpecError, match="at least 75 pictures are needed where no calibration"):
        OODModel.fit_arrays(FEATURES[:50])
    with pytest.raises(SpecError, match="features: at least 10 pictures"):
        OODModel.fit_arrays(FEATURES[:9], calibration=CALIBRATION[0])


def test_models_of_several_machines_combine() -> None:
    halves = [np.arange(len(FEATURES)) % 2 == turn for turn in (0, 1)]
    parts = [
        OODModel.fit_arrays(
            FEATURES[half], LOGITS[half], LABELS[half], calibration=tuple(c[turn::2] for c in CALIBRATION), names=names
        )
        for turn, (half, names) in enumerate(zip(halves, ([f"a{i}" for i in range(150)], None), strict=True))
    ]
    both = OODModel.combine(parts)
    assert both.calibration_size == 150
    assert auroc(both.score(*FRESH), both.score(*STRANGE)) > 0.97
    own = both.explain(FEATURES[halves[0]][7], LOGITS[halves[0]][7], neighbours=1).neighbours[0]
    assert own.name == "a7"
    other = both.explain(FEATURES[halves[1]][7], LOGITS[halves[1]][7], neighbours=1).neighbours[0]
    assert other.name == ""
    with pytest.raises(SpecError, match=r"models\[1\]: it has other classes: None, and 4"):
        OODModel.combine([parts[0], OODModel.fit_arrays(FEATURES, calibration=CALIBRATION[0])])
    with pytest.raises(SpecError, match=r"models\[1\]: it has other last layer; "):
        OODModel.combine([parts[0], fit()])
    with pytest.raises(SpecError, match="at least one"):
        OODModel.combine([])


def test_what_one_was_trained_on_calibrates_no_combined_model(caplog: pytest.LogCaptureFixture) -> None:
    apart = fit(seed=1)
    shared = OODModel.fit_arrays(
        FEATURES, LOGITS, LABELS, last_layer=WORLD.layer, seed=2
    )  # a part of what `apart` was trained on is set aside
    both = OODModel.combine([apart, shared])
    assert both._parts.kept.calibration.features.tobytes() == CALIBRATION[0].tobytes()
    assert "120 of 320 pictures are left out, because they are training pictures too" in caplog.text
    twice = OODModel.combine([apart, fit(seed=3)])
    assert len(twice._parts.kept.calibration.features) == 200
    kept = shared._parts.kept
    given = {"calibration": (kept.training.features, kept.training.logits), "last_layer": WORLD.layer}
    swapped = OODModel.fit_arrays(kept.calibration.features, kept.calibration.logits, **given)
    with pytest.raises(SpecError, match="calibration: 300 of 300 pictures are training pictures"):
        OODModel.combine([shared, swapped])


def test_classes_of_combined_models_are_known_again_by_their_names(tmp_path: Path) -> None:
    orders = ["abcd", "cadb"]
    parts = []
    for turn, order in enumerate(orders):
        rows = np.arange(len(FEATURES)) % 2 == turn
        number = np.array([order.index(name) for name in "abcd"])
        parts.append(
            OODModel.fit_arrays(
                FEATURES[rows], LOGITS[rows], number[LABELS[rows]],
                calibration=tuple(each[turn::2] for each in CALIBRATION), class_names=list(order),
            )
        )  # fmt: skip
    parts[1].save(tmp_path / "second.ood")
    both = OODModel.combine([parts[0], OODModel.load(tmp_path / "second.ood")])
    expected = np.concatenate([LABELS[::2], LABELS[1::2]])
    np.testing.assert_array_equal(both._parts.kept.labels, expected)
    numbers = OODModel.fit_arrays(FEATURES, LOGITS, LABELS, calibration=CALIBRATION)
    with pytest.raises(SpecError, match=r"models\[1\]: it has no names of classes, and others have"):
        OODModel.combine([both, numbers])
    with pytest.raises(SpecError, match="labels go from 0 to 3, and there are 2 names"):
        fit(class_names=["a", "b"])
    with pytest.raises(SpecError, match="class_names: different texts"):
        fit(class_names=["a", "a", "b", "c"])


def test_a_large_bank_is_cut() -> None:
    whole, cut = fit(max_bank=None), fit(max_bank=60)
    assert cut.nbytes < whole.nbytes
    assert len(cut.explain(*(each[0] for each in FRESH), neighbours=99).neighbours) == 60
    assert auroc(cut.score(*FRESH), cut.score(*STRANGE)) > auroc(whole.score(*FRESH), whole.score(*STRANGE)) - 0.02


def test_the_combination_learns_from_strange_pictures() -> None:
    # Strange here is only what the logits tell; four measures of five look elsewhere.
    def shifted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        features, logits, _ = WORLD.usual(count, seed)
        return features, logits * 3

    default, learned = fit(last_layer=None), fit(last_layer=None, out_of_distribution=shifted(200, 21))
    fresh = shifted(400, 22)
    before, after = (auroc(each.score(*FRESH), each.score(*fresh)) for each in (default, learned))
    assert after > before + 0.01
    assert 0.02 < (learned.p_value(*FRESH) <= 0.05).mean() < 0.09
    assert (learned.learned, default.learned) == (True, False)
    assert len(learned.measures) == len(learned.weights)
    assert min(learned.weights) > 0


def test_strange_pictures_that_teach_nothing_change_nothing() -> None:
    model = fit(out_of_distribution=WORLD.usual(100, 30)[:2])
    assert model.measures == DEFAULT
    assert model.weights == (1.0,) * 5
    assert not model.learned


def test_threads_may_share_a_model(model: OODModel) -> None:
    expected = model.score(*FRESH).tobytes()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(model.score(*FRESH).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_every_measure_names_its_source() -> None:
    for name, kind in SCORES.items():
        assert dataclasses.is_dataclass(kind)
        assert any(year in (kind.__doc__ or "") for year in ("arXiv", "19", "20")), name


def test_a_model_may_be_saved_to_the_file_that_it_was_read_from(model: OODModel, tmp_path: Path) -> None:
    path = tmp_path / "model.ood"
    model.save(path)
    one, other = OODModel.load(path), OODModel.load(path)
    before, expected = path.read_bytes(), one.p_value(*FRESH).tobytes()
    one.save(path)
    assert path.read_bytes() == before
    few().save(path)
    assert one.p_value(*FRESH).tobytes() == other.p_value(*FRESH).tobytes() == expected
    assert OODModel.load(path).measures == WIDE
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.ood"]


def test_a_model_says_what_it_takes_to_learn(model: OODModel) -> None:
    assert model.learning == "no: there were no strange pictures; that takes 40 strange and 160 calibration pictures"
    few_strange = fit(out_of_distribution=tuple(rows[:30] for rows in STRANGE))
    assert few_strange.learning.startswith("no: from 30 strange and 200 calibration pictures; that takes 40 strange")
    few_calibration = fit(out_of_distribution=STRANGE, calibration=tuple(rows[:150] for rows in CALIBRATION))
    assert few_calibration.learning.startswith("no: from 200 strange and 150 calibration pictures; ")
    assert few_strange.learned is few_calibration.learned is False
    enough = fit(out_of_distribution=STRANGE)
    assert enough.learned == (enough.learning == "from strange pictures")
