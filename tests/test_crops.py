"""What happens between two models of a chain: crops are cut out, and what is said about them is merged."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_strategies import LABELS, predictions

from aiohooks.annotation import Annotation, Keypoint, Label, Point, Polygon, Rectangle, RotatedRectangle
from aiohooks.frame import Frame
from aiohooks.inference.crops import Crop, crops, with_labels, with_objects, with_tables
from aiohooks.prediction import Prediction, Task

SIZE = (60, 100)
ANIMALS = (Label(name="cat", id="1"), Label(name="dog", id="2"), Label(name="No object", id="9", is_empty=True))
PARTS = (Label(name="ear", id="3"), Label(name="eye", id="4"), Label(name="No object 2", id="9", is_empty=True))
MOODS = (Label(name="calm", id="5"), Label(name="wild", id="6"))


def detected(boxes: Any, labels: Any = None, size: tuple[int, int] = SIZE, table: Any = ANIMALS) -> Prediction:
    return Prediction.detection(size, table, boxes, [0.5] * len(boxes), labels or [0] * len(boxes))


def names(prediction: Prediction) -> list[tuple[str, ...]]:
    return [annotation.label_names for annotation in prediction.annotations]


@pytest.mark.parametrize(
    ("box", "crop"),
    [
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ((10.4, 19.6, 30.4, 39.6), (10, 20, 30, 40)),
        ((0, 0, 100, 60), (0, 0, 100, 60)),
        ((7, 7, 7, 7), (7, 7, 8, 8)),  # a pixel at least
        ((100, 60, 100, 60), (99, 59, 100, 60)),
        ((0, 0, 0.2, 60), (0, 0, 1, 60)),
    ],
)
def test_a_crop_is_whole_pixels_inside_the_frame(box: Any, crop: Any) -> None:
    assert crops(detected([box])) == [Crop(0, *crop)]


def test_a_crop_is_around_the_shape() -> None:
    none = np.full(3, np.nan, np.float32)
    prediction = Prediction(
        task=Task.INSTANCE_SEGMENTATION, size=SIZE, labels=ANIMALS, boxes=np.array([[0, 0, 50, 50]] * 4, np.float32),
        scores=np.ones(4, np.float32), label_indices=np.zeros(4, np.int32),
        polygons=(np.array([[5, 6], [20, 6], [20, 30]], np.float32), None, None, None),
        rotated_boxes=np.array([[np.nan] * 5, [50, 30, 20, 10, 90], [95, 30, 20, 10, 0], [np.nan] * 5], np.float32),
        keypoints=np.array([none, none, none, [12, 13, 1]], np.float32),
    )  # fmt: skip
    assert crops(prediction) == [
        Crop(0, 5, 6, 20, 30), Crop(1, 45, 20, 55, 40), Crop(2, 85, 25, 100, 35), Crop(3, 12, 13, 13, 14),
    ]  # fmt: skip
    assert crops(prediction, 3) == [Crop(3, 12, 13, 13, 14)]


def test_the_pixels_of_a_crop_are_a_view() -> None:
    frame = Frame(np.zeros((*SIZE, 3), np.uint8), "cat.jpg", 7, encoded=b"file", owned=True)
    cut = Crop(0, 2, 3, 12, 23).of(frame)
    assert cut.image.shape == (20, 10, 3)
    assert np.shares_memory(cut.image, frame.image)
    assert (cut.name, cut.index, cut.timestamp, cut.encoded) == ("cat.jpg", 7, frame.timestamp, None)


def test_labels_go_to_the_object_that_was_cut_out() -> None:
    whole = with_tables(detected([(0, 0, 10, 10), (20, 20, 40, 40)], ["dog", "cat"]), [MOODS])
    said = [
        Prediction.classification((10, 10), MOODS, [0.25, 0.75], ["wild", "calm"]),
        Prediction.classification((20, 20), MOODS, [], []),
    ]
    merged = with_labels(whole, crops(whole), said, MOODS, len(ANIMALS))
    assert names(merged) == [("dog", "wild", "calm"), ("cat",)]
    assert merged.scores.tolist() == [0.5, 0.25, 0.75, 0.5]
    assert merged.object_indices.tolist() == [0, 0, 0, 1]
    assert merged.labels == ANIMALS + MOODS


def test_objects_come_behind_the_others_crop_by_crop() -> None:
    whole = with_tables(detected([(10, 20, 30, 40), (50, 0, 100, 60)]), [PARTS])
    said = [
        detected([(1, 2, 3, 4)], ["eye"], (20, 20), PARTS),
        detected([(0, 0, 50, 60), (5, 5, 6, 6)], ["ear", "eye"], (60, 50), PARTS),
    ]
    merged = with_objects(whole, crops(whole), said, PARTS, len(ANIMALS))
    assert names(merged) == [("cat",), ("cat",), ("eye",), ("ear",), ("eye",)]
    assert [annotation.shape for annotation in merged.annotations[2:]] == [
        Rectangle(11, 22, 2, 2), Rectangle(50, 0, 50, 60), Rectangle(55, 5, 1, 1),
    ]  # fmt: skip
    assert crops(merged, 2) == [Crop(2, 11, 22, 13, 24), Crop(3, 50, 0, 100, 60), Crop(4, 55, 5, 56, 6)]


def test_labels_of_two_tables_may_share_an_id() -> None:
    whole = with_tables(detected([(0, 0, 10, 10)]), [PARTS])
    merged = with_objects(whole, crops(whole), [Prediction.empty(Task.DETECTION, (10, 10), PARTS)], PARTS, 3)
    assert [label.name for label in merged.labels if label.id == "9"] == ["No object", "No object 2"]
    assert names(merged) == [("cat",)]


def test_every_kind_of_shape_is_moved() -> None:
    whole = with_tables(detected([(10, 20, 60, 60)]), [PARTS])
    label = PARTS[0]
    polygon = Polygon((Point(1, 1), Point(5, 1), Point(5, 5)))
    for shape, moved in (
        (Rectangle(1, 2, 3, 4), Rectangle(11, 22, 3, 4)),
        (polygon, Polygon((Point(11, 21), Point(15, 21), Point(15, 25)))),
        (RotatedRectangle(30, 5, 6, 7, 8), RotatedRectangle(30, 15, 26, 7, 8)),
        (Keypoint(1, 2), Keypoint(11, 22)),
    ):
        said = Prediction.from_annotations([Annotation(shape, ())], size=(40, 50), labels=PARTS)
        merged = with_objects(whole, crops(whole), [said], PARTS, len(ANIMALS))
        assert [annotation.shape for annotation in merged.annotations] == [Rectangle(10, 20, 50, 40), moved]
    assert label in merged.labels


def test_what_belongs_to_the_picture_is_the_first_models() -> None:
    first = Prediction(
        task=Task.SEGMENTATION, size=(4, 6), labels=ANIMALS, boxes=np.array([[0, 0, 3, 3]], np.float32),
        scores=np.ones(1, np.float32), label_indices=np.zeros(1, np.int32), masks=np.ones((1, 4, 6), np.uint8),
        label_map=np.ones((4, 6), np.uint8), feature_vector=np.ones(3, np.float32), saliency_maps=np.ones((2, 2, 2), np.uint8),
    )  # fmt: skip
    second = Prediction.detection((3, 3), PARTS, [(0, 0, 1, 1)], [1], [0], feature_vector=[7])
    whole = with_tables(first, [PARTS])
    merged = with_objects(whole, crops(whole), [second], PARTS, len(ANIMALS))
    assert merged.task is Task.SEGMENTATION
    assert merged.feature_vector is first.feature_vector
    assert merged.saliency_maps is first.saliency_maps
    assert merged.label_map is first.label_map
    assert merged.masks is None  # one object has none
    assert with_labels(whole, crops(whole), [second], PARTS, len(ANIMALS)).masks is first.masks


def test_a_class_without_a_label_is_added_to_the_table() -> None:
    strange = Label(name="#2")
    whole = with_tables(detected([(0, 0, 10, 10)]), [MOODS])
    said = [Prediction.classification((10, 10), (*MOODS, strange), [0.25], [2])]
    merged = with_labels(whole, crops(whole), said, MOODS, len(ANIMALS))
    assert names(merged) == [("cat", "#2")]
    assert merged.labels == (*ANIMALS, *MOODS, strange)


@given(predictions(), st.data())
def test_merging_keeps_all_that_was_said(whole: Prediction, data: st.DataObject) -> None:
    start = with_tables(whole, [LABELS])
    cut = crops(start)
    said = [data.draw(predictions()) for _ in cut]
    merged = with_objects(start, cut, said, LABELS, len(LABELS))
    checked(merged)
    assert len(merged) == len(whole) + sum(map(len, said))
    labels = [annotation.labels for one in (whole, *said) for annotation in one.annotations]
    assert [annotation.labels for annotation in merged.annotations] == labels

    labelled = with_labels(start, cut, said, LABELS, len(LABELS))
    checked(labelled)
    assert len(labelled) == len(whole)
    for before, after, one in zip(whole.annotations, labelled.annotations, said, strict=True):
        assert after.shape == before.shape
        given_labels = [one.labels[i] for i in one.label_indices.tolist()]
        assert [scored.label for scored in after.labels] == [*(scored.label for scored in before.labels), *given_labels]


@given(predictions())
def test_crops_fit_the_frame(prediction: Prediction) -> None:
    height, width = prediction.size
    for i, crop in enumerate(crops(prediction)):
        assert crop.owner == i
        assert 0 <= crop.x1 < crop.x2 <= width
        assert 0 <= crop.y1 < crop.y2 <= height


def checked(prediction: Prediction) -> None:
    """Merging does not check what it makes: do it here, by the constructor."""
    fields = [name for name in Prediction.__slots__ if not name.startswith("_")]
    Prediction(**{name: getattr(prediction, name) for name in fields})
    assert not any(
        getattr(prediction, name).flags.writeable for name in ("boxes", "scores", "label_indices", "object_indices")
    )
