"""Events of a made-up model with three labels, and what may become of them."""

import numpy as np

from aiohooks.monitors.drift import DriftBaseline, EventArrays

WIDTH, LABELS = 12, 3
_MEANS = np.random.default_rng(99).normal(0, 3, (LABELS, WIDTH))
_SCALES = np.linspace(2, 0.2, WIDTH)


def events(
    count: int, seed: int, *, moved: float = 0.0, labels: tuple[float, ...] = (1, 1, 1), dark: float = 0.0
) -> EventArrays:
    """Return events of which the features moved by so many standard deviations along one direction."""
    rng = np.random.default_rng(seed)
    label = rng.choice(LABELS, count, p=np.array(labels) / sum(labels))
    features = 20 + _MEANS[label] + rng.normal(0, 1, (count, WIDTH)) * _SCALES
    features[:, 3] += moved * _SCALES[3]
    logits = rng.normal(0, 1, (count, LABELS)) + 4 * np.eye(LABELS)[label]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return EventArrays.of(features, probabilities, {"brightness": rng.normal(120 - dark, 20, count)})


def fit(count: int = 400, seed: int = 0, **options: object) -> DriftBaseline:
    """Return a baseline of such events, with few windows to be quick."""
    given = events(count, 1000 + seed)
    quick: dict[str, object] = {"windows": 400, "random_features": 32, "seed": seed}
    return DriftBaseline.fit_arrays(given.features, given.probabilities, given.image_stats, **(quick | options))  # type: ignore[arg-type]
