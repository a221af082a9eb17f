import copy
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_strategies import LABELS, NAMES, predictions, sizes

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
)
from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction, Task
from aiohooks.shapes import bounds, outline

SIZE = (48, 64)
CAT, DOG, BEAR, NOTHING = LABELS


def raw(**changes: Any) -> Prediction:
    """Two boxes with one label each, and what the test changes."""
    arrays: dict[str, Any] = {
        "task": Task.DETECTION,
        "size": SIZE,
        "labels": LABELS,
        "boxes": np.array([[1, 2, 11, 22], [0, 0, 64, 40]], np.float32),
        "scores": np.array([0.75, 0.5], np.float32),
        "label_indices": np.array([1, 0], np.int32),
    }
    return Prediction(**{**arrays, **changes})


def test_objects_have_their_shape_and_labels() -> None:
    prediction = raw(
        scores=np.array([0.5, 0.25, 0.75], np.float32),
        label_indices=np.array([1, 0, 2], np.int32),
        object_indices=np.array([1, 0, 1], np.int32),
    )
    assert prediction.annotations == (
        Annotation(Rectangle(1, 2, 10, 20), (ScoredLabel(CAT, 0.25),)),
        Annotation(Rectangle(0, 0, 64, 40), (ScoredLabel(DOG, 0.5), ScoredLabel(BEAR, 0.75))),
    )
    assert prediction.annotations is prediction.annotations
    assert prediction.annotations[1].label_names == ("dog", "Bär")
    assert prediction.label_names == ("dog", "cat", "Bär")
    assert len(prediction) == 2


def test_a_rotated_box_goes_before_a_polygon_before_a_keypoint_before_a_box() -> None:
    rotated = np.full((4, 5), np.nan, np.float32)
    rotated[0] = 5, 6, 7, 8, 30
    triangle = np.array([[0, 0], [4, 0], [0, 4]], np.float32)
    keypoints = np.array([[1, 1, 1], [2, 2, 1], [3, 4, 0], [np.nan] * 3], np.float32)
    prediction = raw(
        boxes=np.array([[1, 2, 3, 4]] * 4, np.float32),
        scores=np.ones(4, np.float32),
        label_indices=np.zeros(4, np.int32),
        rotated_boxes=rotated,
        polygons=(triangle, triangle, None, None),
        keypoints=keypoints,
    )
    assert [annotation.shape for annotation in prediction.annotations] == [
        RotatedRectangle(angle=30, x=5, y=6, width=7, height=8),
        Polygon((Point(0, 0), Point(4, 0), Point(0, 4))),
        Keypoint(3, 4, is_visible=False),
        Rectangle(1, 2, 2, 2),
    ]


def test_arrays_are_read_only_and_the_callers_stay_writable() -> None:
    boxes, masks, outline_ = np.zeros((1, 4), np.float32), np.zeros((1, *SIZE), np.uint8), np.zeros((3, 2), np.float32)
    prediction = raw(
        boxes=boxes,
        masks=masks,
        polygons=[outline_],
        scores=np.ones(1, np.float32),
        label_indices=np.zeros(1, np.int32),
        feature_vector=np.ones(4, np.float32),
    )
    for field in fields(prediction):
        value = getattr(prediction, field.name)
        for array in value if field.name == "polygons" else [value]:
            assert not isinstance(array, np.ndarray) or not array.flags.writeable, field.name
    assert boxes.flags.writeable
    assert masks.flags.writeable
    assert outline_.flags.writeable
    with pytest.raises(FrozenInstanceError):
        prediction.size = (1, 1)  # type: ignore[misc]


BOX = np.zeros((2, 4), np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": BOX.astype(np.float64)}, r"boxes: expected float32 of shape \(2, 4\), got float64 of shape \(2, 4\)"),
        ({"boxes": BOX[0]}, r"boxes: expected float32 of shape \(4, 4\), got float32 of shape \(4,\)"),
        ({"boxes": [[0, 0, 1, 1]]}, r"boxes: expected float32 .* got list"),
        ({"boxes": np.float32(1)}, r"boxes: expected float32 .* got float32"),
        ({"boxes": BOX + np.array([[0], [np.nan]], np.float32)}, "boxes: row 1 is no place in a picture"),
        ({"boxes": BOX + np.array([[np.inf], [0]], np.float32)}, "boxes: row 0 is no place in a picture"),
        ({"boxes": BOX + np.float32(1e30)}, "boxes: row 0 is no place in a picture"),
        ({"scores": np.ones((2, 1), np.float32)}, r"scores: expected float32 of shape \(2,\), got float32 of shape \(2, 1\)"),
        ({"scores": np.array([0.5, 3.5], np.float32)}, "scores: expected 0–1, got 3.5; apply softmax"),
        ({"scores": np.array([np.nan, 1], np.float32)}, "scores: expected 0–1, got nan"),
        ({"scores": np.array([-0.5, 1], np.float32)}, "scores: expected 0–1, got -0.5"),
        ({"label_indices": np.zeros(2, np.int64)}, r"label_indices: expected int32 of shape \(2,\), got int64"),
        ({"label_indices": np.zeros(3, np.int32)}, r"label_indices: .* \(2,\), got int32 of shape \(3,\)"),
        ({"label_indices": np.array([0, 4], np.int32)}, "label_indices: 4 is out of range, there are 4 labels"),
        ({"label_indices": np.array([0, -1], np.int32)}, "label_indices: -1 is out of range"),
        ({"object_indices": np.array([0, 2], np.int32)}, r"object_indices: 2 is out of range, there are 2 objects"),
        ({"object_indices": [0, 1]}, r"object_indices: expected int32 of shape \(2,\), got list"),
        ({"boxes": BOX[:1]}, r"object_indices: must be given, there are 2 scores for 1 objects"),
        ({"masks": np.zeros((2, 64, 48), np.uint8)}, r"masks: expected uint8 of shape \(2, 48, 64\), got uint8 of shape \(2, 64, 48\)"),
        ({"masks": np.zeros((2, *SIZE), np.bool_)}, "masks: expected uint8 .* got bool"),
        ({"polygons": (None,)}, "polygons: expected a tuple of 2, one for each object, got 1"),
        ({"polygons": np.zeros((2, 3, 2), np.float32)}, "polygons: expected a tuple of 2, one for each object, got ndarray"),
        ({"polygons": (None, np.zeros((3, 3), np.float32))}, r"polygons\[1\]: expected float32 of shape \(3, 2\), got float32 of shape \(3, 3\)"),
        ({"polygons": (None, np.zeros((0, 2), np.float32))}, r"polygons\[1\]: expected float32 of shape \(1, 2\)"),
        ({"polygons": (None, np.full((3, 2), np.inf, np.float32))}, r"polygons\[1\]: holds points that are not finite"),
        ({"rotated_boxes": np.zeros((2, 4), np.float32)}, r"rotated_boxes: expected float32 of shape \(2, 5\)"),
        ({"rotated_boxes": np.array([[0] * 5, [0, 0, 0, 0, np.nan]], np.float32)}, "rotated_boxes: row 1 is neither finite nor all NaN"),
        ({"keypoints": np.array([[0, 0, np.inf], [0] * 3], np.float32)}, "keypoints: row 0 is neither finite nor all NaN"),
        ({"label_map": np.zeros(SIZE, np.int64)}, r"label_map: expected uint8 of shape \(48, 64\), got int64"),
        ({"heat_map": np.zeros(SIZE, np.float64)}, r"heat_map: expected float32 or uint8 of shape \(48, 64\), got float64"),
        ({"class_scores": np.zeros((1, 3), np.float32)}, r"class_scores: expected float32 of shape \(any,\), got float32 of shape \(1, 3\)"),
        ({"feature_vector": [1.0]}, r"feature_vector: expected float32 of shape \(any,\), got list"),
        ({"saliency_maps": np.zeros(SIZE, np.uint8)}, r"saliency_maps: expected uint8 of shape \(any, any, any\), got uint8 of shape \(48, 64\)"),
        ({"size": (48, 64, 3)}, r"size: expected height and width in pixels, got \(48, 64, 3\)"),
    ],
)  # fmt: skip
def test_a_wrong_array_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raw(**changes)


def test_a_score_just_above_one_is_rounding() -> None:
    assert raw(scores=np.array([1.0004, 0], np.float32)).scores[0] > 1


def test_maps_of_the_picture_may_have_any_resolution() -> None:
    prediction = raw(
        heat_map=np.zeros(SIZE, np.uint8),
        class_scores=np.ones(9, np.float32),
        saliency_maps=np.zeros((4, 7, 7), np.uint8),
    )
    assert prediction.heat_map is not None
    assert prediction.saliency_maps is not None


def test_classification_takes_lists_and_names() -> None:
    prediction = Prediction.classification(
        SIZE, ["red", "green"], [0.25, 0.75], ["green", 0], class_scores=[0.75, 0.25], feature_vector=[[1, 2], [3, 4]]
    )
    assert prediction.annotations == (
        Annotation(
            Rectangle(0, 0, 64, 48), (ScoredLabel(Label(name="green"), 0.25), ScoredLabel(Label(name="red"), 0.75))
        ),
    )
    assert prediction.task is Task.CLASSIFICATION
    assert prediction.class_scores is not None
    assert prediction.class_scores.dtype == np.float32
    assert prediction.feature_vector is not None
    assert prediction.feature_vector.tolist() == [1, 2, 3, 4]


def test_classification_without_a_label_has_no_object() -> None:
    prediction = Prediction.classification(SIZE, LABELS, [], [])
    assert len(prediction) == 0
    assert prediction.is_empty


def test_vectors_and_maps_are_copies() -> None:
    vector, maps = np.ones(3, np.float32), np.ones((1, 2, 2), np.uint8)
    prediction = Prediction.detection(SIZE, LABELS, [], [], [], feature_vector=vector, saliency_maps=maps)
    vector[:], maps[:] = 7, 7
    assert prediction.feature_vector is not None
    assert prediction.feature_vector.tolist() == [1, 1, 1]
    assert prediction.saliency_maps is not None
    assert prediction.saliency_maps.max() == 1


@given(
    sizes,
    st.lists(st.tuples(*[st.floats(-200, 200, width=32)] * 4), max_size=5),
    st.sampled_from([np.float32, np.float64]),
)
def test_detection_clips_boxes_to_the_picture(
    size: tuple[int, int], corners: list[tuple[float, ...]], dtype: type[np.floating[Any]]
) -> None:
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners], dtype).reshape(-1, 4)
    before = boxes.copy()
    prediction = Prediction.detection(size, LABELS, boxes, [0.5] * len(boxes), [0] * len(boxes))
    height, width = size
    x, y = prediction.boxes[:, 0::2], prediction.boxes[:, 1::2]
    np.testing.assert_array_equal(x, boxes[:, 0::2].clip(0, width))
    np.testing.assert_array_equal(y, boxes[:, 1::2].clip(0, height))
    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize(
    "indices",
    [
        [1, 0],
        ["dog", "cat"],
        np.array(["dog", "cat"]),
        np.array([1.0, 0.0]),
        np.array([1, 0]),
        np.array([1, 0], np.int32),
    ],
)
def test_detection_takes_labels_by_number_or_name(indices: Any) -> None:
    prediction = Prediction.detection(SIZE, NAMES, [[0, 0, 9, 9]] * 2, [0.5, 0.25], indices)
    assert prediction.label_names == ("dog", "cat")
    assert prediction.label_indices.dtype == np.int32


@pytest.mark.parametrize(
    ("boxes", "indices", "message"),
    [
        ([[0, 0, 1, 1]], ["hose"], "label_indices: 'hose' is not a label; there are: cat, dog, Bär, No object"),
        ([[0, 0, 1, 1]], [0.5], r"label_indices: expected whole numbers, got \[0.5\]"),
        ([[0, 0, 1, 1]], [np.nan], r"label_indices: expected whole numbers, got \[nan\]"),
        (
            [[10, 10, 5, 20]],
            [0],
            r"boxes: row 0 ends before it starts, expected x1, y1, x2, y2, got \[10.0, 10.0, 5.0, 20.0\]",
        ),
        ([[0, 0, 1, 1, 0.9]], [0], r"boxes: expected shape \(N, 4\) of x1, y1, x2, y2, got \(1, 5\)"),
        ([0, 0, 1, 1], [0], r"boxes: expected shape \(N, 4\)"),
    ],
)
def test_detection_says_what_is_wrong(boxes: Any, indices: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prediction.detection(SIZE, LABELS, boxes, [0.5], indices)


def test_empty() -> None:
    prediction = Prediction.empty("segmentation", SIZE, LABELS)  # type: ignore[arg-type]  # as JSON has it
    assert prediction.task is Task.SEGMENTATION
    assert (len(prediction), prediction.annotations, prediction.label_names) == (0, (), ())
    assert prediction.is_empty


def test_only_a_label_for_nothing_makes_a_prediction_empty() -> None:
    boxes = [[0, 0, 64, 48]] * 2
    assert Prediction.detection(SIZE, LABELS, boxes, [0.5, 0.5], ["No object"] * 2).is_empty
    assert not Prediction.detection(SIZE, LABELS, boxes, [0.5, 0.5], ["No object", "cat"]).is_empty
    unlabelled = raw(
        scores=np.empty(0, np.float32), label_indices=np.empty(0, np.int32), object_indices=np.empty(0, np.int32)
    )
    assert not unlabelled.is_empty


def test_its_repr_is_short() -> None:
    assert repr(raw()) == "Prediction(detection, 64×48, dog 0.75, cat 0.50)"
    assert repr(Prediction.empty(Task.ANOMALY, SIZE, LABELS)) == "Prediction(anomaly, 64×48, nothing found)"


def test_a_copy_and_a_pickle_hold_the_same() -> None:
    for twin in (copy.copy(raw()), copy.deepcopy(raw()), pickle.loads(pickle.dumps(raw()))):
        assert twin.annotations == raw().annotations


@given(predictions(), st.none() | st.sets(st.sampled_from(NAMES)), st.none() | st.floats(0, 1, width=32))
def test_filter_keeps_matching_labels_and_the_objects_that_have_one(
    prediction: Prediction, names: set[str] | None, min_score: float | None
) -> None:
    found = prediction.filter(labels=names, min_score=min_score)
    kept = [
        (
            i,
            [
                scored
                for scored in annotation.labels
                if (names is None or scored.name in names) and (min_score is None or scored.probability >= min_score)
            ],
        )
        for i, annotation in enumerate(prediction.annotations)
    ]
    kept = [(i, labels) for i, labels in kept if labels]
    assert [(a.shape, list(a.labels)) for a in found.annotations] == [
        (prediction.annotations[i].shape, labels) for i, labels in kept
    ]
    if prediction.masks is not None and found.masks is not None:
        np.testing.assert_array_equal(found.masks, prediction.masks[[i for i, _ in kept]])
    if prediction.label_map is not None and found.label_map is not None:
        wanted = [0, *(i + 1 for i, name in enumerate(NAMES) if names is None or name in names)]
        expected = np.where(np.isin(prediction.label_map, wanted), prediction.label_map, 0)
        np.testing.assert_array_equal(found.label_map, expected)


def test_filter_keeps_the_geometry_of_the_objects_it_keeps() -> None:
    masks = np.stack([np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8)])
    keypoints = np.array([[1, 2, 1], [3, 4, 1]], np.float32)
    prediction = raw(masks=masks, keypoints=keypoints, class_scores=np.ones(4, np.float32)).filter(labels=["cat"])
    assert prediction.masks is not None
    assert prediction.masks.min() == 1
    assert prediction.boxes.tolist() == [[0, 0, 64, 40]]
    assert prediction.annotations[0].shape == Keypoint(3, 4)
    assert prediction.class_scores is not None


def test_filter_takes_one_name() -> None:
    assert raw().filter(labels="dog").label_names == ("dog",)
    assert raw().filter(labels="do").is_empty
    prediction = raw()
    assert prediction.filter() is prediction


def test_a_score_in_float32_passes_its_own_threshold() -> None:
    assert len(raw(scores=np.array([0.9, 0.1], np.float32)).filter(min_score=0.9)) == 1


@given(predictions())
def test_annotations_make_the_same_prediction(prediction: Prediction) -> None:
    twin = Prediction.from_annotations(
        prediction.annotations, size=prediction.size, labels=prediction.labels, task=prediction.task
    )
    assert twin.annotations == prediction.annotations
    assert (twin.task, twin.size, twin.labels) == (prediction.task, prediction.size, prediction.labels)


@pytest.mark.parametrize(
    ("shape", "task"),
    [
        (Rectangle(0, 0, 64, 48), Task.CLASSIFICATION),
        (Rectangle(0, 0, 64, 47), Task.DETECTION),
        (RotatedRectangle(10, 20, 20, 5, 5), Task.ROTATED_DETECTION),
        (Polygon((Point(0, 0), Point(9, 9))), Task.INSTANCE_SEGMENTATION),
        (Ellipse(0, 0, 9, 9), Task.INSTANCE_SEGMENTATION),
        (Keypoint(3, 4), Task.KEYPOINT_DETECTION),
    ],
)
def test_shapes_tell_the_task(shape: Any, task: Task) -> None:
    annotations = [Annotation(shape, (ScoredLabel(CAT, 1.0),))]
    assert Prediction.from_annotations(annotations, size=SIZE).task is task
    bad = Label(name="bad", is_anomalous=True)
    assert Prediction.from_annotations(annotations, size=SIZE, labels=[bad]).task is Task.ANOMALY


def test_labels_of_annotations_are_found_by_id_then_by_name_and_added() -> None:
    table = (Label(name="old", id="1"), Label(name="cat"))
    annotations = [
        Annotation(Rectangle(0, 0, 1, 1), (ScoredLabel(label, 0.5),))
        for label in (Label(name="renamed", id="1"), Label(name="cat", id="7"), Label(name="new"), Label(name="new"))
    ]
    prediction = Prediction.from_annotations(annotations, size=SIZE, labels=table)
    assert prediction.labels == (*table, Label(name="new"))
    assert prediction.label_names == ("old", "cat", "new", "new")


@given(predictions())
def test_bounds_hold_the_outline(prediction: Prediction) -> None:
    for annotation in prediction.annotations:
        x1, y1, x2, y2 = bounds(annotation.shape)
        points = outline(annotation.shape)
        np.testing.assert_allclose(points.min(axis=0), (x1, y1), atol=1e-4)
        np.testing.assert_allclose(points.max(axis=0), (x2, y2), atol=1e-4)


def test_a_box_turns_clockwise_on_the_screen() -> None:
    corners = outline(RotatedRectangle(angle=90, x=10, y=10, width=8, height=2))
    np.testing.assert_allclose(corners, [[11, 6], [11, 14], [9, 14], [9, 6]], atol=1e-9)


def test_an_ellipse_is_drawn_through_its_four_ends() -> None:
    points = outline(Ellipse(10, 20, 8, 4))
    np.testing.assert_allclose(points[::16], [[18, 22], [14, 24], [10, 22], [14, 20]], atol=1e-9)


def test_drawing_needs_the_frame_that_was_inferred() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    drawn = raw().draw(Frame(image))
    np.testing.assert_array_equal(drawn, raw().draw(image))
    assert drawn.any()
    assert not image.any()
    with pytest.raises(
        ValueError, match="cannot draw on a picture of 48×64 pixels: the prediction is about one of 64×48"
    ):
        raw().draw(np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(FrameError, match="shape 48×64"):
        raw().draw(image[..., 0])


def test_importing_it_loads_no_heavy_library() -> None:
    code = "import sys, aiohooks.prediction; print([m for m in ('cv2', 'PIL', 'supervision') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_top_label_is_the_one_with_the_highest_score() -> None:
    labels = [Label(name="cat"), Label(name="dog")]
    found = Prediction.classification((4, 4), labels, scores=[0.25, 0.5], label_indices=[0, 1])
    assert found.top == ScoredLabel(labels[1], 0.5)
    assert Prediction.empty(Task.DETECTION, (4, 4), labels).top is None
