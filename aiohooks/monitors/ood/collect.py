"""Features of many pictures, streamed through a deployment."""

import logging
import math
import os
from collections.abc import Callable, Hashable, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks import sources
from aiohooks.deployment import Deployment
from aiohooks.errors import AiohooksError, SpecError
from aiohooks.frame import Frame
from aiohooks.monitors.progress import Progress
from aiohooks.prediction import Prediction
from aiohooks.sources import Pictures

logger = logging.getLogger("aiohooks")

_GROWTH = 1.25
_FIRST_ROWS = 1024


@dataclass(slots=True, eq=False)
class Collected:
    """What a deployment said about pictures, N of which could be inferred.

    Attributes:
        features: float32 N×D.
        class_scores: float32 N×C, after softmax or sigmoid; None unless all pictures have them and they were asked for.
        classes: N class indices: those given, or of the largest class scores; None if there are neither.
        class_names: names of the classes where they were given; else they are numbers of the network's.
        groups: N numbers of groups, None unless they were asked for.
        names: N names of pictures.
        failed: how many pictures could not be read or inferred.
    """

    features: NDArray[np.float32]
    class_scores: NDArray[np.float32] | None
    classes: NDArray[np.int64] | None
    class_names: list[str] | None
    groups: NDArray[np.int64] | None
    names: list[str]
    failed: int


class Rows:
    """Rows of numbers that come one by one, in one array, which grows in place."""

    def __init__(self) -> None:
        self._array: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._count = 0

    def append(self, row: NDArray[np.float32], expected: int) -> None:
        """Add a row; ``expected`` is how many there will be, 0 if that is not known.

        Raises:
            SpecError: it has another length than those before.
        """
        if not self._count:
            self._array = np.empty((max(expected, _FIRST_ROWS), len(row)), np.float32)
        if len(row) != self._array.shape[1]:
            raise SpecError(
                f"feature vectors of {self._array.shape[1]} and of {len(row)} numbers: pictures of different sizes give different "
                "ones; load the deployment with parameters that fix the size of its input"
            )
        if self._count == len(self._array):
            # Memory that is moved by the system: at no time are there two copies.
            self._array.resize((math.ceil(self._count * _GROWTH), len(row)), refcheck=False)
        self._array[self._count] = row
        self._count += 1

    def take(self) -> NDArray[np.float32]:
        """Return the rows."""
        return self._array[: self._count]


@dataclass(slots=True, eq=False)
class _Collecting:
    keeps_scores: bool
    class_of: Callable[[Frame], Hashable] | None
    group_of: Callable[[Frame], Hashable] | None
    features: Rows = field(default_factory=Rows)
    class_scores: Rows | None = field(default_factory=Rows)
    classes: list[int] | None = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    known_groups: dict[Hashable, int] = field(default_factory=dict)

    def add(self, frame: Frame, prediction: Prediction, expected: int) -> None:
        vector = vector_of(prediction)
        self.features.append(vector, expected)
        self.names.append(frame.name or f"picture {frame.index}")
        if self.group_of is not None:
            self.groups.append(self.known_groups.setdefault(self.group_of(frame), len(self.known_groups)))
        scores = prediction.class_scores
        if scores is None or not self.keeps_scores:
            self.class_scores = None
        elif self.class_scores is not None:
            self.class_scores.append(scores, expected)
        if self.classes is not None:
            if self.class_of is not None:
                self.classes.append(self.known.setdefault(str(self.class_of(frame)), len(self.known)))
            elif scores is not None:
                self.classes.append(int(scores.argmax()))
            else:
                self.classes = None


def vector_of(prediction: Prediction) -> NDArray[np.float32]:
    """Return the feature vector of a prediction.

    Raises:
        SpecError: it has none.
    """
    if prediction.feature_vector is None:
        raise SpecError(f"the prediction has no feature vector: {HOW_TO_GET_FEATURES}")
    return prediction.feature_vector


HOW_TO_GET_FEATURES = (
    "load it with Deployment.load(…, features=True), which exposes what a classifier's last layer reads, or features='…' with the name of "
    "a tensor (on the command line --features last, or its name); or export the model with its explanation (XAI) outputs"
)


async def collect(
    deployment: Deployment,
    pictures: Pictures,
    *,
    what: str,
    progress: Progress,
    keeps_scores: bool = False,
    class_of: Callable[[Frame], Hashable] | None = None,
    group_of: Callable[[Frame], Hashable] | None = None,
    seen: Callable[[Frame, Prediction], None] | None = None,
) -> Collected:
    """Infer pictures in a bounded stream, of which only what is asked for is kept; hooks and monitors do not see them.

    Pictures that cannot be read or inferred are left out and counted, and logged.

    Args:
        deployment: open.
        pictures: anything that `Deployment.stream` takes; a folder is read with its subfolders.
        what: the pictures are called in messages.
        progress: called after each picture.
        keeps_scores: keep class scores.
        class_of: says of which class a picture is, if that is known better than the deployment does; the text of what it returns names it.
        group_of: says which pictures are alike.
        seen: called with every frame and prediction.

    Raises:
        SpecError: the deployment gives no features, or none of the pictures could be inferred.
    """
    check_features(deployment.name, deployment.describe().feature_width)
    source = source_of(pictures)
    rows = _Collecting(keeps_scores, class_of, group_of)
    failed = 0
    first: AiohooksError | None = None
    async with deployment.stream(source, hooks=False) as results:
        async for result in results:
            total = count_of(source)
            if result.error is None:
                rows.add(result.frame, result.prediction, total)
                if seen is not None:
                    seen(result.frame, result.prediction)
            else:
                failed += 1
                first = first or result.error
            progress(what, len(rows.names) + failed, total)
    if not rows.names:
        raise SpecError(
            f"{what}: there are no pictures" if first is None else f"{what}: no picture could be inferred: {first}"
        )
    if failed:
        logger.warning(
            "%s: %d of %d pictures are left out, the first: %s", what, failed, failed + len(rows.names), first
        )
    return Collected(
        rows.features.take(),
        None if rows.class_scores is None else rows.class_scores.take(),
        None if rows.classes is None else np.array(rows.classes, np.int64),
        None if class_of is None else list(rows.known),
        None if group_of is None else np.array(rows.groups, np.int64),
        rows.names,
        failed,
    )


def check_features(model: str, found: int | None, wanted: int | None = None) -> None:
    """Check that a model gives features, of the width that is wanted.

    Args:
        model: its name.
        found: width of its feature vector, -1 if only predictions tell; None if it has none.
        wanted: width that is needed; None if any will do.

    Raises:
        SpecError: it does not.
    """
    if found is None:
        raise SpecError(
            f"{model} gives no feature vector, without which nothing tells what it has seen before: {HOW_TO_GET_FEATURES}"
        )
    if wanted is not None and found not in (-1, wanted):
        raise SpecError(
            f"{model} gives feature vectors of {found} numbers, and the OOD model was fitted on {wanted}: fit one on this deployment, loaded "
            "with these features"
        )


def source_of(pictures: Pictures) -> Any:
    """Return pictures as a source; a folder with its subfolders."""
    if isinstance(pictures, (str, os.PathLike)) and Path(pictures).is_dir():
        return sources.folder(pictures, recursive=True)
    return pictures


def count_of(source: Any) -> int:
    """Return how many pictures a source has, 0 if that is not known (yet)."""
    if isinstance(source, (str, os.PathLike, bytes)):
        return 0
    total = getattr(source, "total", None)
    return int(total) if total else len(source) if isinstance(source, Sized) else 0
