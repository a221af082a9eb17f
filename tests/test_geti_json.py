import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_strategies import LABELS, predictions

from aiohooks.annotation import Annotation, Ellipse, Keypoint, Label, Polygon, Rectangle, RotatedRectangle, ScoredLabel
from aiohooks.errors import SpecError
from aiohooks.prediction import Prediction, Task
from aiohooks.prediction.geti_json import from_geti, to_geti

SIZE = (48, 64)


def shape(kind: str = "RECTANGLE", **values: Any) -> dict[str, Any]:
    """The JSON of one annotation of this shape."""
    return {"labels": [{"name": "cat", "probability": 0.5}], "shape": {"type": kind, **values}}


def document(*annotations: Any) -> dict[str, Any]:
    return {"annotations": list(annotations), "kind": "prediction", "maps": []}


BOX = {"x": 1, "y": 2, "width": 3, "height": 4}


@given(predictions())
def test_it_comes_back_as_it_was(prediction: Prediction) -> None:
    data = json.loads(json.dumps(prediction.to_geti(), allow_nan=False))
    twin = Prediction.from_geti(data, size=prediction.size, labels=prediction.labels)
    assert twin.annotations == prediction.annotations
    assert (twin.size, twin.labels) == (prediction.size, prediction.labels)
    assert twin.to_geti() == prediction.to_geti()


@given(predictions())
def test_without_a_label_table_names_shapes_and_probabilities_come_back(prediction: Prediction) -> None:
    twin = Prediction.from_geti(prediction.to_geti())
    assert [(a.shape, a.label_names) for a in twin.annotations] == [
        (a.shape, a.label_names) for a in prediction.annotations
    ]
    assert twin.scores.tolist() == [scored.probability for a in prediction.annotations for scored in a.labels]


def test_the_form_is_that_of_geti() -> None:
    cat, dog = Label(name="cat", color="#28c85aff", id="a1"), Label(name="dog", color="#64965aff")
    one = (ScoredLabel(cat, 0.5),)
    points = Prediction.from_geti(document(shape("POLYGON", points=[{"x": 1, "y": 2.5}, {"x": 3, "y": 4}])))
    annotations = [
        Annotation(Rectangle(0, 0, 640.0, 480.0), (ScoredLabel(cat, 0.75), ScoredLabel(dog, 1))),
        Annotation(Ellipse(1.5, 2, 3, 4), one),
        Annotation(RotatedRectangle(angle=33.25, x=1, y=2, width=3, height=4), one),
        Annotation(Keypoint(np.float64(1), np.float32(2.5), is_visible=False), one),
        Annotation(points.annotations[0].shape, one),
    ]
    labels = [{"probability": 0.5, "name": "cat", "color": "#28c85aff", "id": "a1"}]
    expected = [
        {
            "labels": [
                {"probability": 0.75, "name": "cat", "color": "#28c85aff", "id": "a1"},
                {"probability": 1.0, "name": "dog", "color": "#64965aff"},
            ],
            "shape": {"x": 0, "y": 0, "width": 640, "height": 480, "type": "RECTANGLE"},
        },
        {"labels": labels, "shape": {"x": 1.5, "y": 2, "width": 3, "height": 4, "type": "ELLIPSE"}},
        {
            "labels": labels,
            "shape": {"angle": 33.25, "x": 1, "y": 2, "width": 3, "height": 4, "type": "ROTATED_RECTANGLE"},
        },
        {"labels": labels, "shape": {"x": 1, "y": 2.5, "is_visible": False, "type": "KEYPOINT"}},
        {"labels": labels, "shape": {"points": [{"x": 1, "y": 2.5}, {"x": 3, "y": 4}], "type": "POLYGON"}},
    ]
    data = to_geti(annotations, size=(480, 640), labels=[cat, dog])
    # Equal text: the same keys in the same order, and 640 rather than 640.0.
    assert json.dumps(data) == json.dumps({"annotations": expected, "kind": "prediction", "maps": []})


def test_angles_are_written_as_short_as_they_can_be() -> None:
    angle = RotatedRectangle(float(np.float32(33.2045)), 1, 2, 3, 4)
    for written, shape_ in (
        (33.2045, angle),
        (0.1, RotatedRectangle(0.1, 1, 2, 3, 4)),
        (90, RotatedRectangle(90, 1, 2, 3, 4)),
    ):
        data = to_geti([Annotation(shape_, ())], size=(9, 9), labels=())
        assert data["annotations"][0]["shape"]["angle"] == written


def test_nothing_is_written_as_the_empty_label_over_the_frame() -> None:
    data = Prediction.empty(Task.DETECTION, SIZE, LABELS).to_geti()
    assert data["annotations"] == [
        {
            "labels": [{"probability": 0.0, "name": "No object", "color": LABELS[3].color, "id": "id-No object"}],
            "shape": {"x": 0, "y": 0, "width": 64, "height": 48, "type": "RECTANGLE"},
        }
    ]
    assert Prediction.empty(Task.DETECTION, SIZE, LABELS[:2]).to_geti()["annotations"] == []
    of_a_chain = [*LABELS, Label(name="No class", is_empty=True)]
    assert Prediction.empty(Task.DETECTION, SIZE, of_a_chain).to_geti() == data


@pytest.mark.parametrize(
    "labels", [LABELS, None, [*LABELS[:2], Label(name="Nothing", id="id-No object", is_empty=True)]]
)
def test_the_form_of_an_empty_result_has_no_objects(labels: list[Label] | None) -> None:
    data = Prediction.empty(Task.DETECTION, SIZE, LABELS).to_geti()
    prediction = Prediction.from_geti(data, labels=labels, task=Task.DETECTION)
    assert (prediction.annotations, prediction.size, prediction.task) == ((), SIZE, Task.DETECTION)
    assert prediction.is_empty
    assert len(prediction.to_geti()["annotations"]) == 1


@pytest.mark.parametrize(
    "annotation",
    [
        {
            "labels": [{"name": "cat", "probability": 0}],
            "shape": {"type": "RECTANGLE", "x": 0, "y": 0, "width": 64, "height": 48},
        },
        {"labels": [{"name": "No object", "probability": 0.5}], "shape": {"type": "RECTANGLE", **BOX}},
        {"labels": [{"name": "No object", "probability": 0}] * 2, "shape": {"type": "RECTANGLE", **BOX}},
        {"labels": [{"name": "unheard of", "probability": 0}], "shape": {"type": "RECTANGLE", **BOX}},
        {
            "labels": [{"name": "No object", "probability": 0}],
            "shape": {"type": "ROTATED_RECTANGLE", "angle": 0, **BOX},
        },
    ],
)
def test_other_annotations_of_low_probability_are_objects(annotation: dict[str, Any]) -> None:
    assert len(Prediction.from_geti(document(annotation), size=SIZE, labels=LABELS)) == 1


def test_what_geti_sdk_predicted_is_read() -> None:
    """Numbers as geti-sdk writes them: floats for whole pixels, a colour of nine digits, a probability above 1."""
    labels = [
        {"probability": 101.5909090909091, "name": "circle", "color": "#118005aff"},
        {"probability": 0.5, "name": "rigid", "color": None},
    ]
    data = {
        "annotations": [{"labels": labels, "shape": {"x": 48.0, "y": 36.0, "width": 240.0, "height": 180.0, "type": "RECTANGLE"}, "id": 7}],
        "maps": [{"data": "…"}],
    }  # fmt: skip
    prediction = Prediction.from_geti(data)
    assert prediction.boxes.tolist() == [[48, 36, 288, 216]]
    assert prediction.scores.tolist() == [1.0, 0.5]
    assert prediction.size == (216, 288)
    assert prediction.labels == (Label(name="circle", color="#118005aff"), Label(name="rigid"))


@pytest.mark.parametrize(
    ("annotation", "size"),
    [
        (shape(x=1.5, y=2, width=3, height=4.25), (7, 5)),
        (shape("ELLIPSE", **BOX), (6, 4)),
        (shape("ROTATED_RECTANGLE", angle=90, x=10, y=10, width=8, height=2), (14, 11)),
        (shape("POLYGON", points=[{"x": 3, "y": 1}, {"x": 20, "y": 2.5}]), (3, 20)),
        (shape("KEYPOINT", x=0, y=0), (1, 1)),
    ],
)
def test_without_a_size_it_is_the_smallest_that_holds_the_shapes(annotation: Any, size: tuple[int, int]) -> None:
    assert Prediction.from_geti(document(annotation)).size == size
    assert Prediction.from_geti(document()).size == (1, 1)


def test_an_ellipse_becomes_a_polygon() -> None:
    prediction = Prediction.from_geti(document(shape("ELLIPSE", x=10, y=20, width=8, height=4)))
    assert isinstance(prediction.annotations[0].shape, Polygon)
    assert prediction.boxes.tolist() == [[10, 20, 18, 24]]


def test_what_a_label_lacks_is_filled_in() -> None:
    annotation = {
        "labels": [{"name": "cat", "is_empty": True, "id": 5, "color": ""}],
        "shape": {"type": "RECTANGLE", **BOX},
    }
    scored = from_geti(document(annotation))[0].labels[0]
    assert scored == ScoredLabel(Label(name="cat", is_empty=True), 1.0)
    assert from_geti(document({"shape": {"type": "RECTANGLE", **BOX}}))[0].labels == ()


def test_a_point_is_visible_unless_it_says_otherwise() -> None:
    visible, hidden = shape("KEYPOINT", x=1, y=2), shape("KEYPOINT", x=1, y=2, is_visible=False)
    unsure = {"labels": [{"name": "nose", "probability": 0}], "shape": visible["shape"]}
    prediction = Prediction.from_geti(document(visible, hidden, unsure, shape("RECTANGLE", **BOX)))
    assert [getattr(a.shape, "is_visible", None) for a in prediction.annotations] == [True, False, True, None]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "prediction: expected an object, got list"),
        ({}, "annotations: is missing"),
        ({"annotations": "none"}, "annotations: expected a list, got str"),
        (document("cat"), r"annotations\[0\]: expected an object, got str"),
        (document({"labels": []}), r"annotations\[0\].shape: is missing"),
        (document(shape(**BOX), {"shape": {"type": "RECTANGLE", **BOX}, "labels": [{}]}), r"annotations\[1\].labels\[0\].name: is missing"),
        (document({"shape": {"type": "RECTANGLE", **BOX}, "labels": [{"name": 7}]}), r"labels\[0\].name: expected a string, got 7"),
        (document({"shape": {"type": "RECTANGLE", **BOX}, "labels": {"name": "a"}}), r"annotations\[0\].labels: expected a list, got dict"),
        (document({"shape": {"type": "RECTANGLE", **BOX}, "labels": [{"name": "a", "probability": "high"}]}), r"labels\[0\].probability: expected a number"),
        (document(shape(**BOX), shape(**BOX), shape("CIRCLE")), r"annotations\[2\].shape.type: 'CIRCLE' is not a shape; there are: RECTANGLE, ELLIPSE,"),
        (document({"shape": BOX}), r"annotations\[0\].shape.type: is missing"),
        (document(shape(x=1, y=2, width=3)), r"annotations\[0\].shape.height: is missing"),
        (document(shape("ROTATED_RECTANGLE", **BOX)), r"annotations\[0\].shape.angle: is missing"),
        (document(shape(**{**BOX, "x": None})), r"annotations\[0\].shape.x: expected a number of at most 1e\+09, got None"),
        (document(shape(**{**BOX, "x": True})), r"annotations\[0\].shape.x: expected a number .* got True"),
        (document(shape(**{**BOX, "x": float("nan")})), r"annotations\[0\].shape.x: expected a number .* got nan"),
        (document(shape(**{**BOX, "x": 10**400})), r"annotations\[0\].shape.x: expected a number"),
        (document(shape("POLYGON")), r"annotations\[0\].shape.points: is missing"),
        (document(shape("POLYGON", points=[])), r"annotations\[0\].shape.points: expected at least one point, got none"),
        (document(shape("POLYGON", points=[{"x": 1, "y": 2}, {"x": 1}])), r"annotations\[0\].shape.points\[1\].y: is missing"),
        (document(shape("POLYGON", points=[[1, 2]])), r"annotations\[0\].shape.points\[0\]: expected an object, got list"),
        (document(shape("KEYPOINT", x=1)), r"annotations\[0\].shape.y: is missing"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_with_the_path_to_the_spot(data: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^.*{message}"):
        Prediction.from_geti(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["annotations", "labels", "name", "probability", "shape", "type", "points", "x", "y", "width", "height"]
            ),
            inner | st.sampled_from(["RECTANGLE", "POLYGON", "KEYPOINT"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_read_or_refused(data: Any) -> None:
    try:
        prediction = Prediction.from_geti(data)
    except SpecError:
        return
    json.dumps(prediction.to_geti(), allow_nan=False)
