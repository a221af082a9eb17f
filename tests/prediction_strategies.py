"""Strategies for predictions of every kind of task."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aiohooks.annotation import Label
from aiohooks.prediction import Prediction, Task

NAMES = ("cat", "dog", "Bär", "No object")
LABELS = tuple(
    Label(name=name, id=f"id-{name}" if i % 2 else "", color=f"#0{i}c8{i}aff", is_empty=name == "No object")
    for i, name in enumerate(NAMES)
)

sizes = st.tuples(st.integers(1, 60), st.integers(1, 80))


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn, count: int, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    rows = [
        sorted((draw(floats(0, width)), draw(floats(0, width))))
        + sorted((draw(floats(0, height)), draw(floats(0, height))))
        for _ in range(count)
    ]
    return np.array([(x1, y1, x2, y2) for x1, x2, y1, y2 in rows], np.float32).reshape(count, 4)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    """A prediction with 0–4 objects; each has at least one label, an empty label has a score above 0."""
    task = draw(st.sampled_from(Task))
    size = draw(sizes)
    height, width = size
    count = draw(st.integers(0, 4))
    if task in (Task.CLASSIFICATION, Task.ANOMALY):
        count = min(count, 1)
        corners = np.array([[0, 0, width, height]] * count, np.float32).reshape(count, 4)
    else:
        corners = draw(boxes(count, size))
    extra = draw(st.lists(st.integers(0, count - 1), max_size=4)) if count else []
    owners = draw(st.permutations([*range(count), *extra]))
    values: dict[str, Any] = {
        "label_indices": np.array([draw(st.integers(0, len(LABELS) - 1)) for _ in owners], np.int32),
        "scores": np.array([draw(floats(0.015625, 1)) for _ in owners], np.float32),
        "object_indices": np.array(owners, np.int32),
    }
    if task is Task.ROTATED_DETECTION:
        turned = [
            [
                draw(floats(0, width)),
                draw(floats(0, height)),
                draw(floats(0, 30)),
                draw(floats(0, 30)),
                draw(floats(0, 180)),
            ]
            for _ in range(count)
        ]
        values["rotated_boxes"] = np.array(turned, np.float32).reshape(count, 5)
    if task is Task.KEYPOINT_DETECTION:
        points = [[draw(floats(0, width)), draw(floats(0, height)), draw(floats(0, 1))] for _ in range(count)]
        values["keypoints"] = np.array(points, np.float32).reshape(count, 3)
    if task in (Task.INSTANCE_SEGMENTATION, Task.SEGMENTATION):
        corner = hnp.arrays(np.float32, st.tuples(st.integers(1, 8), st.just(2)), elements=floats(0, 80))
        values["polygons"] = tuple(draw(st.none() | corner) for _ in range(count))
    if task is Task.INSTANCE_SEGMENTATION:
        values["masks"] = draw(hnp.arrays(np.uint8, (count, height, width), elements=st.integers(0, 1)))
    if task is Task.SEGMENTATION:
        values["label_map"] = draw(hnp.arrays(np.uint8, size, elements=st.integers(0, len(LABELS))))
    if task is Task.ANOMALY:
        values["heat_map"] = draw(hnp.arrays(np.float32, size, elements=floats(0, 1)))
    return Prediction(task=task, size=size, labels=LABELS, boxes=corners, **values)
