"""What several measures say together."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.ood.batch import Doubles

LEAST_TO_LEARN = 40
"""Frames of each kind, usual and strange, that the weights can be learned from."""

_FOLDS = 5
_STEPS = 300
_RIDGE = 0.1
_MOST = 50.0
_LEAST_WEIGHT = 0.02


@dataclass(frozen=True, eq=False)
class Combination:
    """A sum of the measures' −log p-values: the method of R. A. Fisher (1925), with a weight for each.

    The sum says only which of two frames is stranger; how strange that is comes from calibration pictures, because
    measures of one frame are not independent.

    Attributes:
        weights: M, not negative.
    """

    weights: Doubles

    def __call__(self, log_p: Doubles) -> Doubles:
        """Return N sums of N×M logarithms."""
        sums: Doubles = -np.vecdot(log_p, self.weights)
        return sums

    @classmethod
    def learn(cls, usual: Doubles, strange: Doubles, default: Doubles, rng: np.random.Generator) -> Self:
        """Return the weights that tell strange frames best, or the default ones if those do as well.

        The weights are half those of a logistic regression that is held near the default, half the default: what is
        strange in other ways than the frames given must not be missed. They are taken only if, learned from four
        fifths of the frames, they rank the last fifth better: on average over the fifths by more than two standard
        errors, and by a tenth of what the default leaves to gain.

        Args:
            usual: N×M logarithms of p-values of in-distribution frames.
            strange: the same of others.
            default: M weights.
            rng: draws the fifths.
        """
        if min(len(usual), len(strange)) < LEAST_TO_LEARN:
            return cls(default)
        usual_fold, strange_fold = (rng.permutation(len(rows)) % _FOLDS for rows in (usual, strange))
        gains, left = [], []
        for fold in range(_FOLDS):
            weights = _logistic(usual[usual_fold != fold], strange[strange_fold != fold], default)
            held = usual[usual_fold == fold], strange[strange_fold == fold]
            left.append(1 - auroc(*map(cls(default), held)))
            gains.append(left[-1] - (1 - auroc(*map(cls(weights), held))))
        if np.mean(gains) <= max(2 * np.std(gains, ddof=1) / np.sqrt(_FOLDS), 0.1 * np.mean(left)):
            return cls(default)
        weights = _logistic(usual, strange, default)
        return cls(np.where(weights < _LEAST_WEIGHT * weights.max(), 0.0, weights))


def auroc(usual: Doubles, strange: Doubles) -> float:
    """Return the chance that a strange frame has the larger value; equal ones count half."""
    ordered = np.sort(usual)
    below = np.searchsorted(ordered, strange, side="left") + np.searchsorted(ordered, strange, side="right")
    return float(below.mean() / (2 * len(usual)))


def _logistic(usual: Doubles, strange: Doubles, default: Doubles) -> Doubles:
    """Return M weights that are not negative, by projected gradient steps; both kinds of frames weigh the same."""
    rows = np.minimum(-np.concatenate([usual, strange]), _MOST)
    kind = np.repeat([-1.0, 1.0], [len(usual), len(strange)])
    share: NDArray[np.float64] = 0.5 / np.repeat([len(usual), len(strange)], [len(usual), len(strange)])
    spread = np.maximum(rows.std(axis=0), 1e-9)
    rows = (rows - rows.mean(axis=0)) / spread
    prior = default * spread
    prior = prior / max(np.linalg.norm(prior), 1e-9)
    weights, bias = prior.copy(), 0.0
    step = 1 / (0.25 * float(np.linalg.eigvalsh((rows * share[:, None]).T @ rows)[-1]) + 0.25 + _RIDGE)
    for _ in range(_STEPS):
        pull = share * kind / (1 + np.exp(np.minimum(kind * (rows @ weights + bias), _MOST)))
        weights = np.maximum(weights + step * (rows.T @ pull - _RIDGE * (weights - prior)), 0)
        bias += step * float(pull.sum())
    learned: Doubles = (weights / max(float(np.linalg.norm(weights)), 1e-9) + prior) / 2 / spread
    return learned
