"""What is taken of an inference on the event loop, in microseconds, and what is made of many of them later, in a worker thread."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.frame import Frame
from aiohooks.monitors.drift import integrity
from aiohooks.monitors.drift.event import EventBatch
from aiohooks.monitors.drift.example import Example
from aiohooks.monitors.drift.image_statistics import PictureSample, measure, sample
from aiohooks.monitors.drift.problem import Problem, Problems, code, counted
from aiohooks.monitors.drift.thumbnail import jpeg_of
from aiohooks.prediction import Prediction


class Drawn(NamedTuple):
    """An event that was drawn to be an example.

    Attributes:
        key: its place in the sample.
        thumbnail: its picture, made small, RGB.
        label: the most probable one; empty if nothing was found.
    """

    key: float
    thumbnail: NDArray[np.uint8]
    label: str


class Observation(NamedTuple):
    """One inference; arrays are those of the prediction, which nobody changes.

    Attributes:
        time: in seconds since the epoch.
        features: (D,), or None.
        class_scores: (C,), or None.
        scores: (M,), of labels that were found.
        label_indices: (M,), which they are.
        picture: of the frame, what its statistics need.
        ood_score: in 0–1, or None.
        segment: as it was given; one that is no text belongs to none, and is counted.
        drawn: to be an example, or None.
    """

    time: float
    features: NDArray[np.float32] | None
    class_scores: NDArray[np.float32] | None
    scores: NDArray[np.float32]
    label_indices: NDArray[np.int32]
    picture: PictureSample
    ood_score: float | None
    segment: object
    drawn: Drawn | None = None


class Observed(NamedTuple):
    """Good events of observations.

    Attributes:
        batch: the events.
        examples: a picture of each that was drawn, in their order.
        refused: how many observations had no good features, or a wrong time.
        problems: what was wrong.
    """

    batch: EventBatch
    examples: list[Example | None]
    refused: int
    problems: Problems


def observe(frame: Frame, prediction: Prediction, *, segment: object = "") -> Observation:
    """Take what is needed of an inference."""
    return Observation(
        frame.timestamp.timestamp(),
        prediction.feature_vector,
        prediction.class_scores,
        prediction.scores,
        prediction.label_indices,
        sample(frame.image),
        prediction.ood_score,
        segment,
    )


def probabilities_of(observations: Sequence[Observation], classes: int) -> NDArray[np.float32]:
    """Return what is known of each class in N inferences, float32 (N, C).

    These are the class scores, or else the highest score of each label that was found, 0 where it was not.
    """
    rows = np.zeros((len(observations), classes), np.float32)
    for row, one in zip(rows, observations, strict=True):
        if one.class_scores is None:
            known = one.label_indices < classes
            np.maximum.at(row, one.label_indices[known], one.scores[known])
        elif len(one.class_scores) == classes:
            row[:] = one.class_scores
        else:
            row[:] = np.nan
    return rows


def batch_of(observations: Sequence[Observation], *, width: int, classes: int, now: float) -> Observed:
    """Check observations and put them side by side. Blocks.

    Args:
        observations: at least one.
        width: of the features.
        classes: of the probabilities; 0: there are none.
        now: in seconds since the epoch; a frame that is more than a day later has a wrong time.
    """
    features, codes = integrity.vectors([one.features for one in observations], width)
    times, wrong = integrity.times(np.array([one.time for one in observations]), now)
    problems = counted("features", codes) + counted("timestamp", wrong)
    probabilities = None
    if classes:
        probabilities, bad = integrity.probabilities(probabilities_of(observations, classes), classes)
        problems += counted("probabilities", bad)
    numbers = measure([one.picture for one in observations])
    if any(one.ood_score is not None for one in observations):
        numbers["ood_score"], _ = integrity.numbers([one.ood_score for one in observations], 0.0, 1.0)
    texts, bad = integrity.texts([one.segment for one in observations])
    problems += counted("segment", np.where(bad == code(Problem.MISSING), 0, bad).astype(np.uint8))
    segments = [text or "" for text in texts]
    batch = EventBatch(
        times,
        features,
        probabilities,
        numbers,
        segments=segments if any(segments) else None,
    )
    good = np.flatnonzero((codes == 0) & (wrong == 0))
    examples = [_example(observations[row]) for row in good.tolist()]
    refused = len(observations) - len(good)
    return Observed(batch.take(good) if refused else batch, examples, refused, Counter(problems))


def label_of(prediction: Prediction) -> str:
    """Return the name of the most probable label of a prediction; empty if nothing was found."""
    if not len(prediction.scores):
        return ""
    return prediction.labels[int(prediction.label_indices[prediction.scores.argmax()])].name


def _example(observation: Observation) -> Example | None:
    drawn = observation.drawn
    if drawn is None:
        return None
    return Example(drawn.key, observation.time, jpeg_of(drawn.thumbnail), "", drawn.label, observation.ood_score)
