"""Many pictures scored: which of them are strange, and why."""

import heapq
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks.deployment import Deployment
from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.monitors.ood.collect import count_of, source_of
from aiohooks.monitors.ood.explanation import OODExplanation
from aiohooks.monitors.ood.fitting import calibration_needed
from aiohooks.monitors.ood.screening import least_flaggable, screen, size_for_one
from aiohooks.monitors.ood.watching import Evidence
from aiohooks.monitors.progress import Progress, shown
from aiohooks.prediction import Prediction
from aiohooks.sources import Pictures

logger = logging.getLogger("aiohooks")

THUMBNAIL_SIDE = 320
"""Longer side of the pictures that are kept, in pixels."""


class Scorer(Protocol):
    """What is asked of an OOD model."""

    calibration_size: int

    def attached(self, description: ModelDescription, /) -> None:
        """Check that a model gives what it goes by."""
        ...

    def evidence(self, prediction: Prediction) -> Evidence:
        """Return what it goes by."""
        ...

    def score_at(self, p_value: float, /) -> float:
        """Return the score of a p-value."""
        ...

    def p_value(self, features: Any, logits: Any, /) -> Any:
        """Return its p-value."""
        ...

    def conformal_p_value(self, features: Any, logits: Any, /) -> Any:
        """Return its conformal p-value."""
        ...

    def explain(self, features: Any, logits: Any, /) -> OODExplanation:
        """Say why it has its score."""
        ...


@dataclass(frozen=True, slots=True)
class StrangePicture:
    """One of the strangest pictures.

    Attributes:
        name: of the picture.
        label: what the deployment sees in it; empty if nothing.
        explanation: why it is strange.
        thumbnail: the picture as a JPEG of at most 320 pixels a side.
    """

    name: str
    label: str
    explanation: OODExplanation
    thumbnail: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """N pictures with their scores.

    Attributes:
        names: of the pictures.
        scores: N, in 0–1, near 1 out of distribution.
        p_values: N, share of in-distribution pictures that are at least as unusual.
        flagged: N, which are out of distribution, by the false discovery rate.
        false_discovery_rate: expected share of in-distribution pictures among those flagged.
        strangest: the strangest pictures, the strangest first.
        failed: messages of the pictures that could not be read or inferred, the first hundred.
        left_out: how many pictures that were.
        least_flaggable: fewer pictures than this cannot be flagged, because the calibration set is small for so many pictures: none
            has a smaller p-value than 1 / (its size + 1).
    """

    names: Sequence[str]
    scores: NDArray[np.float64]
    p_values: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    false_discovery_rate: float
    strangest: Sequence[StrangePicture]
    failed: Sequence[str]
    left_out: int
    least_flaggable: int

    @property
    def is_blind(self) -> bool:
        """Whether nothing is flagged where a few strange pictures could not be, however strange they are."""
        return self.least_flaggable > 1 and not self.flagged.any()


async def screen_pictures(
    model: Scorer,
    deployment: Deployment,
    pictures: Pictures,
    *,
    false_discovery_rate: float = 0.1,
    strangest: int = 0,
    what: str = "screening",
    progress: bool | Progress | None = None,
) -> Screened:
    """Score pictures in a bounded stream; for the arguments see `OODModel.screen`.

    Raises:
        SpecError: the deployment does not give the features, or the rate is out of its range.
    """
    if not 0 < false_discovery_rate < 1:
        raise SpecError(f"false_discovery_rate: it must be between 0 and 1, got {false_discovery_rate!r}")
    model.attached(deployment.describe())
    source = source_of(pictures)
    scoring = _Scoring(model, strangest)
    failed: list[str] = []
    left_out = 0
    with shown(progress) as show:
        async with deployment.stream(source, hooks=False) as results:
            async for result in results:
                if result.error is None:
                    await anyio.to_thread.run_sync(scoring.add, result.frame, result.prediction)
                else:
                    left_out += 1
                    if len(failed) < _MOST_MESSAGES:
                        failed.append(str(result.error))
                show(what, len(scoring.names) + left_out, count_of(source))
    kept = await anyio.to_thread.run_sync(scoring.strangest)
    conformal = np.array(scoring.conformal, np.float64)
    count = len(scoring.names)
    screened = Screened(
        scoring.names, np.array(scoring.scores, np.float64), np.array(scoring.p_values, np.float64),
        screen(conformal, false_discovery_rate), false_discovery_rate, kept, failed, left_out,
        least_flaggable(count, model.calibration_size, false_discovery_rate),
    )  # fmt: skip
    if screened.is_blind:
        least = screened.least_flaggable
        logger.warning(
            "%s: nothing is flagged, and %s of %s pictures could be at a false discovery rate of %g: only %s calibration pictures give "
            "p-values. Fit the OOD model with %s calibration pictures to have a single one flagged, or look at those with the smallest p-values",
            what, f"only {least:,} or more" if least <= count else "none", f"{count:,}", false_discovery_rate,
            f"{model.calibration_size:,}", f"{calibration_needed(size_for_one(count, false_discovery_rate)):,}",
        )  # fmt: skip
    return screened


_MOST_MESSAGES = 100


class _Scoring:
    """Scores of pictures so far, and as many of the strangest as are wanted."""

    def __init__(self, model: Scorer, most: int) -> None:
        self.names: list[str] = []
        self.scores: list[float] = []
        self.p_values: list[float] = []
        self.conformal: list[float] = []
        self._model = model
        self._most = most
        self._numbers = itertools.count()
        self._kept: list[tuple[float, int, str, str, Evidence, bytes]] = []

    def add(self, frame: Frame, prediction: Prediction) -> None:
        evidence = self._model.evidence(prediction)
        p_value = float(self._model.p_value(*evidence))
        score = self._model.score_at(p_value)
        name = frame.name or f"picture {frame.index}"
        self.names.append(name)
        self.scores.append(score)
        self.p_values.append(p_value)
        self.conformal.append(float(self._model.conformal_p_value(*evidence)))
        if self._most and (len(self._kept) < self._most or -p_value > self._kept[0][0]):
            label = prediction.top.label.name if prediction.top is not None else ""
            # By p-value, because scores near 1 are equal; of equal ones the first stay.
            entry = (-p_value, -next(self._numbers), name, label, evidence, thumbnail(frame))
            (heapq.heappush if len(self._kept) < self._most else heapq.heappushpop)(self._kept, entry)

    def strangest(self) -> list[StrangePicture]:
        ordered = sorted(self._kept, key=lambda entry: entry[:2], reverse=True)
        return [
            StrangePicture(name, label, self._model.explain(*evidence), small)
            for _, _, name, label, evidence, small in ordered
        ]


def thumbnail(frame: Frame) -> bytes:
    """Return a small JPEG of a frame. Blocks for a millisecond."""
    import cv2  # heavy: loaded when first used

    scale = min(1.0, THUMBNAIL_SIDE / max(frame.height, frame.width))
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame.image
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data.tobytes()
