"""Every measure is what its source says, computed here as plainly as can be."""

import sys

import numpy as np
import pytest
from ood_pictures import CLASSES, WIDTH, World

from aiohooks.errors import SpecError
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood import OODModel
from aiohooks.monitors.ood.bank import Bank
from aiohooks.monitors.ood.batch import Batch
from aiohooks.monitors.ood.coreset import coreset
from aiohooks.monitors.ood.forest import Forest
from aiohooks.monitors.ood.scores import SCORES
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.ood.whitening import Whitening

WORLD = World.make()
FEATURES, LOGITS, LABELS = WORLD.usual(300, 1)
TRAINING = Training(
    Batch(FEATURES, LOGITS), LABELS, Batch(*WORLD.usual(150, 2)[:2]), last_layer=WORLD.layer, most_in_bank=None
)
FRAMES = Batch(*(np.concatenate(pair) for pair in zip(WORLD.usual(40, 3)[:2], WORLD.strange(40, 4), strict=True)))
FRAMES = Batch(FRAMES.features, FRAMES.logits.astype(np.float64))
F, Z = FRAMES.features.astype(np.float64), FRAMES.logits
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
LSE = np.log(np.exp(Z).sum(axis=1))
X = FEATURES.astype(np.float64)
W, B = WORLD.layer.weights.astype(np.float64), WORLD.layer.bias.astype(np.float64)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ledoit_wolf(rows: np.ndarray) -> np.ndarray:
    """Their formulas (1)–(14), sums over pictures spelt out."""
    count, width = rows.shape
    sample = rows.T @ rows / count
    mean = np.trace(sample) / width
    dispersion = ((sample - mean * np.eye(width)) ** 2).sum() / width
    noise = sum(((np.outer(row, row) - sample) ** 2).sum() for row in rows) / width / count**2
    share = min(noise, dispersion) / dispersion
    return share * mean * np.eye(width) + (1 - share) * sample


def mahalanobis(x: np.ndarray, frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    means = np.array([x[labels == c].mean(axis=0) for c in np.unique(labels)])
    inverse = np.linalg.inv(ledoit_wolf(x - means[labels]))
    return np.min([np.einsum("nd,de,ne->n", frames - m, inverse, frames - m) for m in means], axis=0)


def distances(metric: np.ndarray | None = None) -> np.ndarray:
    offsets = unit(F)[:, None] - unit(X)
    return np.sqrt(np.einsum("nmd,de,nme->nm", offsets, np.eye(WIDTH) if metric is None else metric, offsets))


def local_metric() -> np.ndarray:
    x = unit(X)
    means = np.array([x[c == LABELS].mean(axis=0) for c in range(CLASSES)])
    return np.linalg.inv(ledoit_wolf(x - means[LABELS]))


def discriminant() -> np.ndarray:
    x, frames = unit(X), unit(F) - unit(X).mean(axis=0)
    offsets = np.array([x[c == LABELS].mean(axis=0) for c in range(CLASSES)]) - x.mean(axis=0)
    of_all = np.linalg.inv(local_metric()) + (offsets.T * (np.bincount(LABELS) / len(LABELS))) @ offsets
    return mahalanobis(x, unit(F), LABELS) - np.einsum("nd,de,ne->n", frames, np.linalg.inv(of_all), frames)


def vim() -> np.ndarray:
    origin = -np.linalg.pinv(W) @ B
    _, vectors = np.linalg.eigh((X - origin).T @ (X - origin))
    beyond = vectors[:, : WIDTH // 2]
    scale = (X @ W.T + B).max(axis=1).mean() / np.linalg.norm((X - origin) @ beyond, axis=1).mean()
    return scale * np.linalg.norm((F - origin) @ beyond, axis=1) - LSE


def fdbd() -> np.ndarray:
    found = []
    for f, z in zip(F, Z, strict=True):
        p = z.argmax()
        to = [(z[p] - z[c]) / np.linalg.norm(W[p] - W[c]) for c in range(CLASSES) if c != p]
        found.append(-np.mean(to) / np.linalg.norm(f - X.mean(axis=0)))
    return np.array(found)


def nci() -> np.ndarray:
    def terms(f: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        o = f - X.mean(axis=0)
        return (W[z.argmax(axis=1)] * o).sum(axis=1) / np.linalg.norm(o, axis=1), np.abs(f).sum(axis=1)

    along, lengths = terms(TRAINING.held_out.features.astype(np.float64), TRAINING.held_out.logits)
    a, b = terms(F, Z)
    return -(a + along.std() / lengths.std() * b)


def nnguide() -> np.ndarray:
    guided = (unit(F) @ unit(X).T) * np.log(np.exp(LOGITS).sum(axis=1))
    return -LSE * np.sort(guided, axis=1)[:, -4:].mean(axis=1)


def scale() -> np.ndarray:
    found = []
    for f in np.maximum(F, 0):
        large = f[f >= np.quantile(f, 0.85)]
        found.append(np.exp(f.sum() / large.sum()))
    z = (F * np.array(found)[:, None]) @ W.T + B
    return -np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)) - z.max(axis=1)


def entropy_distance() -> np.ndarray:
    found = []
    for row in distances():
        nearest = np.argsort(row)[:10]
        shares = np.bincount(LABELS[nearest]) / 10
        shares = shares[shares > 0]
        found.append(row[nearest].mean() * (1 - (shares * np.log(shares)).sum()))
    return np.array(found)


def energy_two_sided() -> np.ndarray:
    usual = -np.log(np.exp(TRAINING.held_out.logits).sum(axis=1))
    low, middle, high = np.quantile(usual, [0.1, 0.5, 0.9])
    return np.where(middle < -LSE, (-LSE - middle) / (high - middle), (middle + LSE) / (middle - low))


def length() -> np.ndarray:
    low, middle, high = np.quantile(np.log(np.linalg.norm(TRAINING.held_out.features, axis=1)), [0.1, 0.5, 0.9])
    own = np.log(np.linalg.norm(F, axis=1))
    return np.where(own > middle, (own - middle) / (high - middle), (middle - own) / (middle - low))


PLAIN = {
    "nearest": lambda: distances().min(axis=1),
    "knn": lambda: np.sort(distances(), axis=1)[:, 3],
    "local_mahalanobis": lambda: distances(local_metric()).min(axis=1),
    "mahalanobis": lambda: mahalanobis(X, F, LABELS),
    "mahalanobis_unit": lambda: mahalanobis(unit(X), unit(F), LABELS),
    "relative_mahalanobis": lambda: mahalanobis(X, F, LABELS) - mahalanobis(X, F, 0 * LABELS),
    "relative_mahalanobis_unit": lambda: (
        mahalanobis(unit(X), unit(F), LABELS) - mahalanobis(unit(X), unit(F), 0 * LABELS)
    ),
    "discriminant": discriminant,
    "entropy_distance": entropy_distance,
    "length": length,
    "msp": lambda: 1 - P.max(axis=1),
    "energy": lambda: -LSE,
    "energy_two_sided": energy_two_sided,
    "gen": lambda: ((P * (1 - P)) ** 0.1).sum(axis=1),
    "nnguide": nnguide,
    "vim": vim,
    "fdbd": fdbd,
    "nci": nci,
    "scale": scale,
}


def test_every_measure_is_here() -> None:
    assert {*PLAIN, "cood"} == {*SCORES}


@pytest.mark.parametrize("name", PLAIN)
def test_a_measure_is_what_its_source_says(name: str) -> None:
    found, expected = SCORES[name].fit(TRAINING)(FRAMES), PLAIN[name]()
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


def test_one_frame_is_measured_as_among_others() -> None:
    for name in PLAIN:
        score = SCORES[name].fit(TRAINING)
        np.testing.assert_array_equal(score(FRAMES.slice(3, 4)), score(FRAMES)[3:4], err_msg=name)


def test_fewer_pictures_than_numbers_and_all_directions_give_the_full_covariance() -> None:
    world = World.make(1, width=90)
    x, _, labels = world.usual(60, 1)
    frames, _ = world.strange(30, 2)
    whitening = Whitening.fit(x, labels, unit=False)
    expected = mahalanobis(x.astype(np.float64), frames.astype(np.float64), labels)
    np.testing.assert_allclose(whitening.nearest_mean(Batch(frames)), expected, rtol=1e-3)


def test_few_directions_keep_the_length_of_what_is_left() -> None:
    whitening = Whitening.fit(FEATURES, LABELS, unit=True, directions=5)
    assert len(whitening.directions) == 5 + CLASSES - 1
    np.testing.assert_allclose(whitening.directions @ whitening.directions.T, np.eye(8), atol=1e-5)
    kept, rest, _, _ = whitening(FRAMES)
    expected = ((unit(F) - unit(X).mean(axis=0)) ** 2).sum(axis=1)
    np.testing.assert_allclose((kept**2).sum(axis=1) + rest, expected, rtol=1e-4)


def test_pictures_that_are_all_alike_are_no_trouble() -> None:
    same = np.ones((20, WIDTH), np.float32)
    whitening = Whitening.fit(same, np.zeros(20, np.intp), unit=True)
    bank = Bank.fit(whitening, same, np.zeros(20, np.intp), most=5, rng=np.random.default_rng(0))
    plain, local = bank(Batch(np.concatenate([same[:1], FEATURES[:1]])))
    assert np.all(np.isfinite(plain))
    assert np.all(np.isfinite(local))
    assert abs(plain[0]).max() < 1e-6 < plain[1].min()


def test_a_coreset_lies_near_all_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3)).astype(np.float32)
    chosen = coreset(points, 40, rng)
    assert len(set(chosen.tolist())) == 40
    assert np.all(np.diff(chosen) > 0)

    def reach(rows: np.ndarray) -> float:
        return float(np.linalg.norm(points[:, None] - points[rows], axis=2).min(axis=1).max())

    assert reach(chosen) < 0.8 * min(reach(rng.choice(500, 40, replace=False)) for _ in range(5))
    np.testing.assert_array_equal(coreset(points, 500, rng), np.arange(500))


def test_a_forest_asks_its_trees() -> None:
    # One tree asks number 1, then number 0; the other is a single leaf.
    column = lambda *rows: np.array(rows, np.int32)  # noqa: E731
    forest = Forest(
        column([1, -1], [-1, 0], [0, 0], [-1, 0], [-1, 0]),
        np.array([[0.5, 0], [0, 0], [2.0, 0], [0, 0], [0, 0]]),
        column([1, 0], [0, 0], [3, 0], [0, 0], [0, 0]),
        column([2, 0], [0, 0], [4, 0], [0, 0], [0, 0]),
        np.array([[0.5, 0.4], [0.1, 0], [0.5, 0], [0.2, 0], [1.0, 0]]),
        2,
    )
    found = forest(np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 1.0], [2.0, 0.5]]))
    np.testing.assert_allclose(found, [(v + 0.4) / 2 for v in (0.1, 0.2, 1.0, 0.1)])


def test_cood_grows_a_forest_that_needs_no_scikit_learn_once_it_is_saved(tmp_path: object) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed: pip install scikit-learn")
    usual, strange = np.random.default_rng(0).normal(size=(2, 80, 3))
    strange += 1
    forest = Forest.grow(usual, strange, seed=3)
    peer = ensemble.RandomForestClassifier(100, class_weight="balanced", random_state=3)
    rows = np.concatenate([usual, strange])
    peer.fit(rows.astype(np.float32), np.repeat([0, 1], 80))
    np.testing.assert_allclose(forest(rows + 0.1), peer.predict_proba((rows + 0.1).astype(np.float32))[:, 1])
    model = OODModel.fit_arrays(
        FEATURES, LOGITS, LABELS, out_of_distribution=WORLD.strange(100, 40), scores=["cood"], max_bank=None
    )
    model.save(f"{tmp_path}/cood.ood")
    fresh, odd = WORLD.usual(200, 41)[:2], WORLD.strange(200, 42)
    loaded = OODModel.load(f"{tmp_path}/cood.ood")
    assert loaded.p_value(*fresh).tobytes() == model.p_value(*fresh).tobytes()
    assert np.median(loaded.score(*odd)) > 0.5 > np.median(loaded.score(*fresh))
    assert np.unique(loaded.p_value(*odd)).size > 150


def test_cood_without_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(SpecError, match=r"pip install 'aiohooks\[sklearn\]'"):
        OODModel.fit_arrays(FEATURES, LOGITS, out_of_distribution=WORLD.strange(50, 40), scores=["cood"])


def test_a_last_layer_of_wide_features() -> None:
    layer = LastLayer(np.eye(4, 700, dtype=np.float32), np.zeros(4, np.float32))
    rng = np.random.default_rng(0)
    features = rng.gamma(2.0, size=(120, 700)).astype(np.float32)
    model = OODModel.fit_arrays(features, last_layer=layer, scores=["vim", "fdbd", "nci"])
    assert model.needs_logits
    assert 0.01 < (model.p_value(rng.gamma(2.0, size=(400, 700))) <= 0.1).mean() < 0.3


def test_roots_are_taken_before_features_are_scaled_to_length_1() -> None:
    features = np.maximum(FEATURES, 0)
    whitening = Whitening.fit(features, LABELS, unit=True, rooted=True)
    same = Whitening.fit(np.sqrt(features), LABELS, unit=True)
    batch, of_roots = Batch(np.maximum(FRAMES.features, 0)), Batch(np.sqrt(np.maximum(FRAMES.features, 0)))
    np.testing.assert_allclose(whitening.nearest_mean(batch), same.nearest_mean(of_roots), rtol=1e-4)
