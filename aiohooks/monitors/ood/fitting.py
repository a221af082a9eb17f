"""From pictures to the parts of an OOD model."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.bank import MostInBank
from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.combination import LEAST_TO_LEARN, Combination
from aiohooks.monitors.ood.conformal import Survival
from aiohooks.monitors.ood.fitted import Fitted, Kept, Pictures, log_p_by_measure
from aiohooks.monitors.ood.scores import (
    DEFAULT,
    LESSER,
    LESSER_OF_WIDE,
    SCORES,
    WIDE,
    WIDE_WITHOUT_LOGITS,
    WITHOUT_LOGITS,
    Need,
)
from aiohooks.monitors.ood.splitting import LEAST_CALIBRATION
from aiohooks.monitors.ood.training import Training
from aiohooks.monitors.progress import Progress, unseen

logger = logging.getLogger("aiohooks")

LEAST_TRAINING = 10
KEPT = 10_000
"""Pictures that are kept to fit anew, unless the bank is larger."""

_SCALE_SHARE = 4
_MOST_FOR_SCALE = 500
_MORE = ("mahalanobis", "relative_mahalanobis_unit", "entropy_distance", "energy", "gen", "vim")
_CHUNK = 256


def for_scale(calibration: int) -> int:
    """Return how many of so many calibration pictures set the scales of the measures; the rest gives the p-values."""
    return min(calibration // _SCALE_SHARE, _MOST_FOR_SCALE)


def calibration_needed(pictures: int) -> int:
    """Return how many calibration pictures there must be for so many to give the p-values."""
    needed = pictures
    while needed - for_scale(needed) < pictures:
        needed += pictures - (needed - for_scale(needed))
    return needed


LEAST_SCALED = _SCALE_SHARE * LEAST_TO_LEARN
"""Calibration pictures without which the combination cannot learn."""


def learning(measures: Sequence[str], kept: Kept, *, learned: bool) -> str:
    """Return in words whether a model has learned from strange pictures, and if not, why not and what it takes."""
    needed = f"that takes {LEAST_TO_LEARN} strange and {LEAST_SCALED} calibration pictures"
    if learned or "cood" in measures:
        return "from strange pictures"
    if kept.strange is None:
        return f"no: there were no strange pictures; {needed}"
    strange, calibration = len(kept.strange.features), len(kept.calibration.features)
    if strange < LEAST_TO_LEARN or for_scale(calibration) < LEAST_TO_LEARN:
        return f"no: from {strange} strange and {calibration} calibration pictures; {needed}"
    return "no: what there is to learn would not rank pictures better"


def apart(training: Batch, calibration: Batch) -> Batch:
    """Return the calibration pictures that are not training pictures too, of whose false alarms they say too little.

    Raises:
        SpecError: too few are left.
    """
    seen = {row.tobytes() for row in training.features}
    new = np.array([row.tobytes() not in seen for row in calibration.features], bool)
    same = len(new) - int(new.sum())
    if not same:
        return calibration
    if len(new) - same < LEAST_CALIBRATION:
        raise SpecError(
            f"calibration: {same} of {len(new)} pictures are training pictures; what they say of false alarms "
            "does not hold for new ones: give others, or leave calibration out to have a part set aside"
        )
    logger.warning(
        "calibration: %d of %d pictures are left out, because they are training pictures too", same, len(new)
    )
    return calibration.take(np.flatnonzero(new))


def fit(
    training: Batch,
    labels: NDArray[np.int64],
    index: NDArray[np.int64],
    calibration: Batch,
    *,
    strange: Batch | None,
    last_layer: LastLayer | None,
    names: Sequence[str] | None,
    most_in_bank: MostInBank,
    seed: int,
    progress: Progress = unseen,
) -> tuple[tuple[str, ...], Fitted, bool]:
    """Return the names of the measures, the parts, and whether the combination has learned.

    Args:
        training: N pictures.
        labels: N.
        index: N, numbers of the pictures.
        calibration: other in-distribution pictures.
        strange: pictures out of distribution.
        last_layer: of the network.
        names: of measures.
        most_in_bank: how many pictures to look for neighbours in.
        seed: of what is drawn by chance.
        progress: told how far the fit has come; what it raises ends the fit.

    Raises:
        SpecError: there are too few pictures, or a measure needs what is not given.
    """
    if len(training) < LEAST_TRAINING:
        raise SpecError(f"features: at least {LEAST_TRAINING} pictures are needed, got {len(training)}")
    if len(calibration) < LEAST_CALIBRATION:
        raise SpecError(f"calibration: at least {LEAST_CALIBRATION} pictures are needed, got {len(calibration)}")
    rng = np.random.default_rng((seed, 0))
    order = rng.permutation(len(calibration))
    scaled = for_scale(len(calibration))
    held_out, rest = calibration.take(order[:scaled]), calibration.take(order[scaled:])
    material = Training(
        training,
        np.unique(labels, return_inverse=True)[1],
        held_out,
        strange=strange,
        last_layer=last_layer,
        most_in_bank=most_in_bank,
        rooted=names is None and _is_wide(training) and bool(training.features.min() >= 0),
        seed=seed,
        progress=progress,
    )
    chosen, weights = _default(material) if names is None else _named(names, _given(material))
    scores = tuple(SCORES[name].fit(material) for name in chosen)
    parts = chunks(held_out, progress=progress)
    values = np.concatenate([np.stack([score(part) for score in scores], axis=1) for part in parts])
    survivals = tuple(Survival.fit(column, smooth_tail=True) for column in values.T)

    def log_p(batch: Batch) -> Doubles:
        parts = chunks(batch, progress=progress)
        return np.concatenate([log_p_by_measure(scores, survivals, part) for part in parts])

    combination = Combination(weights)
    if strange is not None and "cood" not in chosen:
        if len(strange) < LEAST_TO_LEARN or scaled < LEAST_TO_LEARN:
            logger.warning(
                "out_of_distribution: nothing is learned from %d strange and %d calibration pictures; that takes %d and %d",
                len(strange), len(calibration), LEAST_TO_LEARN, LEAST_SCALED,
            )  # fmt: skip
        combination = Combination.learn(log_p(held_out), log_p(strange), weights, rng)
    used = np.flatnonzero(combination.weights)
    fitted = Fitted(
        scores=tuple(scores[i] for i in used),
        survivals=tuple(survivals[i] for i in used),
        combination=Combination(combination.weights[used]),
        calibration=np.empty(0),
        survival=survivals[0],
        bank=material.bank,
        last_layer=last_layer,
        pictures=index[material.bank.index],
        kept=_kept(training, labels, index, calibration, strange, rng),
    )
    strangeness = np.sort(np.concatenate([fitted.strangeness(part) for part in chunks(rest, progress=progress)]))
    fitted = replace(fitted, calibration=strangeness, survival=Survival.fit(strangeness, smooth_tail=False))
    return tuple(chosen[i] for i in used), fitted, not np.array_equal(combination.weights, weights)


def chunks(batch: Batch, rows: int = _CHUNK, progress: Progress = unseen) -> Iterator[Batch]:
    """Yield the frames, some at a time."""
    for start in range(0, len(batch), rows):
        progress("measures", start, len(batch))
        yield batch.slice(start, start + rows)


def _given(material: Training) -> frozenset[Need]:
    given: dict[Need, bool] = {
        "logits": material.batch.rows is not None,
        "last layer": material.last_layer is not None,
        "out of distribution": material.strange is not None,
    }
    return frozenset(need for need, there in given.items() if there)


def _is_wide(training: Batch) -> bool:
    """Tell whether there are fewer pictures than numbers in a feature vector."""
    count, width = training.features.shape
    return bool(count < width)


def _default(material: Training) -> tuple[tuple[str, ...], Doubles]:
    """Return the measures and their weights before anything is learned."""
    has = _given(material)
    default: tuple[str, ...] = DEFAULT if "logits" in has else WITHOUT_LOGITS
    lesser = LESSER
    if _is_wide(material.batch):
        default, lesser = WIDE if "logits" in has else WIDE_WITHOUT_LOGITS, LESSER_OF_WIDE
        if not material.labels.any():
            default = tuple(name for name in default if name != "discriminant")  # it tells classes apart
    weights = [lesser.get(name, 1.0) for name in default]
    more = [name for name in _MORE if material.strange is not None and SCORES[name].needs <= has]
    return (*default, *more), np.array(weights + [0.0] * len(more))


def _named(names: Sequence[str], has: frozenset[Need]) -> tuple[tuple[str, ...], Doubles]:
    """Return the measures that were asked for, each as important as the others."""
    if not names or isinstance(names, str) or len(set(names)) < len(names):
        raise SpecError(f"scores: different names of measures are needed, got {names!r}")
    for name in names:
        if name not in SCORES:
            raise SpecError(f"scores: there is no measure {name!r}; there are {', '.join(SCORES)}")
        if missing := SCORES[name].needs - has:
            raise SpecError(f"scores: {name} needs what is not given: {', '.join(sorted(missing))}")
    return tuple(names), np.ones(len(names))


def _kept(
    training: Batch,
    labels: NDArray[np.int64],
    index: NDArray[np.int64],
    calibration: Batch,
    strange: Batch | None,
    rng: np.random.Generator,
) -> Kept:
    rows: Any = slice(None)  # as they are, not copied
    if len(training) > KEPT:
        rows = np.sort(rng.choice(len(training), KEPT, replace=False))
    return Kept(
        Pictures(training.features[rows], None if training.rows is None else training.rows[rows]),
        labels[rows],
        index[rows],
        Pictures(calibration.features, calibration.rows),
        None if strange is None else Pictures(strange.features, strange.rows),
    )
