"""What becomes of a prediction that goes to Geti as annotation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.annotation import (
    Annotation,
    Ellipse,
    Keypoint,
    Label,
    Point,
    Polygon,
    Rectangle,
    RotatedRectangle,
    ScoredLabel,
    Shape,
)
from aiohooks.clients.geti.annotating import MAX_POINTS, annotations_for
from aiohooks.prediction import Prediction, Task

CAT = Label(name="cat", id="1", color="#ff0000ff")
DOG = Label(name="dog", id="2", color="#00ff00ff")
EMPTY = Label(name="No Object", id="0", color="#000000ff", is_empty=True)
LABELS = (CAT, DOG, EMPTY)
SIZE = (48, 64)

places = st.floats(-1e6, 1e6) | st.integers(-10, 100)
sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def fitted(shape: Shape, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    [annotation] = annotations_for([Annotation(shape, (ScoredLabel(CAT, 0.5),))], size=size, labels=LABELS)
    return annotation["shape"]  # type: ignore[no-any-return]


def label_of(label: Label, labels: tuple[Label, ...] = LABELS) -> dict[str, Any]:
    [annotation] = annotations_for(
        [Annotation(Rectangle(1, 2, 3, 4), (ScoredLabel(label, 0.75),))], size=SIZE, labels=labels
    )
    [found] = annotation["labels"]
    return found  # type: ignore[no-any-return]


@given(sizes, places, places, st.floats(0, 1e6), st.floats(0, 1e6), st.sampled_from([Rectangle, Ellipse]))
def test_boxes_are_cut_to_the_picture(
    size: tuple[int, int], x: float, y: float, width: float, height: float, kind: type[Rectangle | Ellipse]
) -> None:
    shape = fitted(kind(x, y, width, height), size)
    assert min(shape["x"], shape["y"]) >= 0
    assert min(shape["width"], shape["height"]) >= 1
    assert shape["x"] + shape["width"] <= size[1]
    assert shape["y"] + shape["height"] <= size[0]


def test_the_rounding_of_floats_makes_no_box_too_small() -> None:
    x = math.nextafter(1.5, 2)
    assert (x + 1) - x < 1
    assert fitted(Rectangle(x, 0, 1, 48))["width"] >= 1


@given(st.integers(0, 63), st.integers(0, 47))
def test_boxes_inside_stay_as_they_are(x: int, y: int) -> None:
    width, height = 64 - x, 48 - y
    expected = {"x": x, "y": y, "width": width, "height": height, "type": "RECTANGLE"}
    assert fitted(Rectangle(x, y, width, height)) == expected


@given(st.lists(st.tuples(places, places), min_size=1, max_size=20), sizes)
def test_points_are_moved_into_the_picture(points: list[tuple[float, float]], size: tuple[int, int]) -> None:
    shape = fitted(Polygon(tuple(Point(x, y) for x, y in points)), size)
    assert len(shape["points"]) == len(points)
    assert all(0 <= point["x"] <= size[1] and 0 <= point["y"] <= size[0] for point in shape["points"])
    keypoint = fitted(Keypoint(*points[0], is_visible=False), size)
    assert (keypoint["x"], keypoint["y"], keypoint["is_visible"]) == (*shape["points"][0].values(), False)


def test_outlines_have_no_more_points_than_geti_allows() -> None:
    for count in (MAX_POINTS, MAX_POINTS + 1, 12_345):
        shape = fitted(Polygon(tuple(Point(i % 64, i % 48) for i in range(count))))
        assert MAX_POINTS / 3 < len(shape["points"]) <= MAX_POINTS


def test_turned_boxes_may_reach_out() -> None:
    shape = fitted(RotatedRectangle(30, -1, 5, 80, 10))
    assert shape == {"angle": 30, "x": -1, "y": 5, "width": 80, "height": 10, "type": "ROTATED_RECTANGLE"}


def test_labels_are_those_of_the_project() -> None:
    assert label_of(DOG) == {"probability": 0.75, "name": "dog", "color": "#00ff00ff", "id": "2"}
    assert label_of(Label(name="hound", id="2")) == label_of(DOG)
    assert label_of(Label(name="dog", id="of another project")) == label_of(DOG)
    assert label_of(Label(name="dog")) == label_of(DOG)
    assert label_of(Label(name="cat", id="2"))["id"] == "2"
    assert label_of(Label(name="no object"))["id"] == "0"


@pytest.mark.parametrize("name", ["horse", "Dog", ""])
def test_a_label_that_the_project_does_not_have_is_told(name: str) -> None:
    with pytest.raises(LookupError, match=f"it has no label '{name}'; its labels are: No Object, cat, dog"):
        label_of(Label(name=name, id="9"))
    with pytest.raises(LookupError, match="its labels are: none"):
        label_of(Label(name=name), ())


def test_nothing_found_is_the_empty_label() -> None:
    assert annotations_for([], size=SIZE, labels=LABELS) == [
        {
            "labels": [{"probability": 0.0, "name": "No Object", "color": "#000000ff", "id": "0"}],
            "shape": {"x": 0, "y": 0, "width": 64, "height": 48, "type": "RECTANGLE"},
        }
    ]
    assert annotations_for([], size=SIZE, labels=(CAT, DOG)) == []


def test_every_kind_of_prediction_becomes_annotations() -> None:
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, 10:30, 10:40] = 1
    for prediction in [
        Prediction.classification(SIZE, ["cat", "dog"], [0.9], ["dog"]),
        Prediction.detection(SIZE, ["cat", "dog"], [[-3, -3, 99, 99]], [0.9], ["dog"]),
        Prediction.empty(Task.DETECTION, SIZE, ["cat"]),
    ]:
        found = annotations_for(prediction.annotations, size=prediction.size, labels=LABELS)
        assert len(found) == 1
