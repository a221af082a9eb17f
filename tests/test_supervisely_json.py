"""Predictions in Supervisely's form and back, and the meta that goes with them."""

import base64
import json
import zlib
from typing import Any

import numpy as np
import prediction_strategies as strategies
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohooks import Label, Prediction, SpecError, Task
from aiohooks.prediction.supervisely import meta
from aiohooks.prediction.supervisely.bitmap import from_bitmap, to_bitmap

LABELS = (Label(name="cat", color="#00ff00ff"), Label(name="dog"))
SIZE = (40, 60)


def annotation_of(prediction: Prediction) -> dict[str, Any]:
    whole = prediction.to_supervisely()
    json.dumps(whole)
    assert whole["data"] == {}
    annotation: dict[str, Any] = whole["annotation"]
    assert annotation["size"] == {"height": 40, "width": 60}
    return annotation


def test_a_box_has_inclusive_corners() -> None:
    found = annotation_of(Prediction.detection(SIZE, LABELS, [[10, 5, 30, 20]], [0.9], ["cat"]))
    assert found["tags"] == []
    assert found["objects"] == [
        {
            "classTitle": "cat",
            "description": "",
            "tags": [{"name": "confidence", "value": 0.9}],
            "shape": "rectangle",
            "geometryType": "rectangle",
            "points": {"exterior": [[10, 5], [29, 19]], "interior": []},
        }
    ]
    back = Prediction.from_supervisely({"annotation": found}, labels=LABELS)
    assert back.boxes.tolist() == [[10, 5, 30, 20]]
    assert (back.task, back.size, back.labels, back.label_names) == (Task.DETECTION, SIZE, LABELS, ("cat",))
    assert back.scores.tolist() == pytest.approx([0.9])


def test_a_classified_picture_has_tags() -> None:
    found = annotation_of(Prediction.classification(SIZE, LABELS, [0.75, 0.25], ["dog", "cat"]))
    assert found["objects"] == []
    assert found["tags"] == [{"name": "dog", "value": 0.75}, {"name": "cat", "value": 0.25}]
    back = Prediction.from_supervisely({"annotation": found}, labels=LABELS)
    assert back.task is Task.CLASSIFICATION
    assert (back.label_names, back.scores.tolist()) == (("dog", "cat"), [0.75, 0.25])


def test_further_labels_of_an_object_are_tags() -> None:
    prediction = Prediction(
        task=Task.DETECTION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[0, 0, 9, 9]], np.float32),
        scores=np.array([0.5, 0.75], np.float32),
        label_indices=np.array([0, 1], np.int32),
        object_indices=np.array([0, 0], np.int32),
    )
    [item] = annotation_of(prediction)["objects"]
    assert item["classTitle"] == "dog"
    assert item["tags"] == [{"name": "confidence", "value": 0.75}, {"name": "cat", "value": 0.5}]
    back = Prediction.from_supervisely(prediction.to_supervisely(), labels=LABELS)
    assert (back.label_names, back.scores.tolist()) == (("dog", "cat"), [0.75, 0.5])


def test_a_rotated_box_has_its_angle_in_radians() -> None:
    prediction = Prediction(
        task=Task.ROTATED_DETECTION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[10, 10, 30, 30]], np.float32),
        scores=np.array([0.5], np.float32),
        label_indices=np.array([0], np.int32),
        rotated_boxes=np.array([[20, 15, 16, 6, 90]], np.float32),
    )
    [item] = annotation_of(prediction)["objects"]
    assert item["geometryType"] == "oriented_bbox"
    assert (item["points"], item["angle"]) == ([[12, 12], [27, 17]], pytest.approx(np.pi / 2))
    back = Prediction.from_supervisely(prediction.to_supervisely())
    assert back.task is Task.ROTATED_DETECTION
    assert back.rotated_boxes is not None
    assert back.rotated_boxes.tolist() == [[20, 15, 16, 6, 90]]


def masks_of(*boxes: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    masks = np.zeros((len(boxes), *SIZE), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    masks[:, 15, 22] = 0  # a hole, or nothing
    return masks


def test_masks_come_back_to_the_pixel() -> None:
    masks = masks_of((10, 5, 30, 20), (40, 0, 60, 40))
    prediction = Prediction(
        task=Task.INSTANCE_SEGMENTATION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[10, 5, 30, 20], [40, 0, 60, 40]], np.float32),
        scores=np.array([0.5, 1], np.float32),
        label_indices=np.array([0, 1], np.int32),
        masks=masks,
    )
    found = annotation_of(prediction)
    assert [item["bitmap"]["origin"] for item in found["objects"]] == [[10, 5], [40, 0]]
    back = Prediction.from_supervisely(found, labels=LABELS)
    assert back.task is Task.INSTANCE_SEGMENTATION
    assert back.masks is not None
    assert (back.masks == masks).all()
    assert back.boxes.tolist() == prediction.boxes.tolist()
    assert back.polygons is not None
    assert all(polygon is not None for polygon in back.polygons)


def test_a_label_map_comes_back_to_the_pixel() -> None:
    label_map = masks_of((10, 5, 30, 20))[0] * 2
    label_map[0, 0] = 1
    prediction = Prediction(
        task=Task.SEGMENTATION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[10, 5, 30, 20]], np.float32),
        scores=np.array([0.5], np.float32),
        label_indices=np.array([1], np.int32),
        label_map=label_map,
    )
    back = Prediction.from_supervisely(prediction.to_supervisely(), labels=LABELS, task=Task.SEGMENTATION)
    assert back.label_map is not None
    assert (back.label_map == label_map).all()
    assert dict(zip(back.label_names, back.scores.tolist(), strict=True)) == {"cat": 1.0, "dog": 0.5}


def test_keypoints_are_the_nodes_of_a_graph() -> None:
    prediction = Prediction(
        task=Task.KEYPOINT_DETECTION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[3, 4, 3, 4], [7.5, 8, 7.5, 8]], np.float32),
        scores=np.array([0.5, 0.75], np.float32),
        label_indices=np.array([1, 0], np.int32),
        keypoints=np.array([[3, 4, 0.5], [7.5, 8, 0]], np.float32),
    )
    [item] = annotation_of(prediction)["objects"]
    assert item["nodes"] == {"dog": {"loc": [3, 4]}, "cat": {"loc": [7.5, 8], "disabled": True}}
    back = Prediction.from_supervisely(prediction.to_supervisely(), labels=LABELS)
    assert back.task is Task.KEYPOINT_DETECTION
    assert back.label_names == ("dog", "cat")
    assert back.scores.tolist() == [0.5, 0.75]
    assert back.keypoints is not None
    assert back.keypoints.tolist() == [[3, 4, 0.5], [7.5, 8, 0]]


@pytest.mark.parametrize(
    ("edges", "pixels"),
    [((0.75, 0.75), [0, 0]), ((1, 1), [0, 0]), ((0, 0), [0, 0]), ((0.6, 1.4), [1, 1]), ((0.4, 2.6), [0, 2])],
)
def test_a_box_has_a_pixel_at_least_and_it_is_in_the_picture(edges: tuple[float, float], pixels: list[int]) -> None:
    low, high = edges
    one = Prediction.detection((3, 3), ["cat"], [[low, low, high, high]], [1.0], [0])
    (item,) = one.to_supervisely()["annotation"]["objects"]
    assert np.transpose(item["points"]["exterior"]).tolist() == [pixels, pixels]


@settings(max_examples=50)
@given(strategies.predictions())
def test_any_prediction_can_be_written_and_read(prediction: Prediction) -> None:
    written = json.loads(json.dumps(prediction.to_supervisely()))
    back = Prediction.from_supervisely(written, labels=prediction.labels, task=prediction.task)
    assert (back.size, back.labels) == (prediction.size, prediction.labels)
    again = Prediction.from_supervisely(
        json.loads(json.dumps(back.to_supervisely())), labels=prediction.labels, task=prediction.task
    )
    assert again.label_names == back.label_names
    assert again.scores.tolist() == back.scores.tolist()
    if prediction.label_map is not None:
        assert back.label_map is not None
        assert (back.label_map == prediction.label_map).all()
    elif prediction.task is Task.DETECTION:
        assert np.abs(back.boxes - prediction.boxes).max(initial=0) <= 1


def test_what_supervisely_serves_is_read() -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[3:9, 4:10] = 1
    bitmap = to_bitmap(mask)
    assert bitmap is not None
    plain_png = base64.b64encode(zlib.decompress(base64.b64decode(bitmap["data"]))).decode()
    data = {
        "annotation": {
            "size": {"height": 40, "width": 60},
            "tags": [],
            "objects": [
                {"classTitle": "a", "geometryType": "rectangle", "points": {"exterior": [[30, 20], [10, 5]]}, "new": 1},
                {"classTitle": "b", "tags": [{"name": "conf", "value": 0.25}], "geometryType": "polygon",
                 "points": {"exterior": [[0, 0], [9, 0], [9, 9]], "interior": [[[1, 1], [2, 1], [2, 2]]]}},
                {"classTitle": "c", "geometryType": "bitmap", "bitmap": {"origin": [4, 3], "data": plain_png}},
                {"classTitle": "d", "geometryType": "graph", "nodes": {"7f": {"loc": [1, 2]}}},
                {"classTitle": "e", "geometryType": "point", "points": {"exterior": [[5, 6]], "interior": []}},
            ],
            "customBigData": None,
        },
        "data": {},
        "frame_index": 3,
    }  # fmt: skip
    found = Prediction.from_supervisely(data, nodes={"7f": "nose"})
    assert found.label_names == ("a", "b", "c", "nose", "e")
    assert found.scores.tolist() == [1, 0.25, 1, 1, 1]
    assert found.boxes[0].tolist() == [10, 5, 31, 21]
    assert found.boxes[2].tolist() == [4, 3, 10, 9]
    assert found.masks is not None
    assert (found.masks[2] == mask).all()


def test_a_tag_may_name_its_label_by_a_value() -> None:
    tags = [{"name": "weather", "value": "rain"}, {"name": "confidence", "value": 0.5}, {"name": "night"}]
    found = Prediction.from_supervisely({"size": {"height": 4, "width": 6}, "tags": tags, "objects": []})
    assert (found.label_names, found.scores.tolist()) == (("rain", "night"), [0.5, 1])


def an_object(**changes: Any) -> dict[str, Any]:
    item = {"classTitle": "a", "geometryType": "rectangle", "points": {"exterior": [[0, 0], [1, 1]]}} | changes
    return {"annotation": {"size": {"height": 40, "width": 60}, "objects": [item]}}


def packed(data: bytes) -> dict[str, Any]:
    return {"origin": [0, 0], "data": base64.b64encode(data).decode()}


PNG_OF_A_BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + (60_000).to_bytes(4, "big") * 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "prediction: expected an object, got list"),
        ({}, "size: is missing"),
        ({"annotation": []}, "annotation: expected an object"),
        ({"annotation": {"size": {"height": 0, "width": 5}}}, "annotation.size: expected a height and width of at least 1"),
        (an_object(classTitle=None), r"annotation.objects\[0\].classTitle: expected a string, got None"),
        (an_object(geometryType="cuboid"), r"objects\[0\].geometryType: 'cuboid' is not a geometry that can be read"),
        (an_object(points={"exterior": [[0, 0]]}), "exterior: expected at least 2 points, got 1"),
        (an_object(points={"exterior": [[0, 0, 1], [1, 1]]}), r"exterior\[0\]: expected x and y, got 3 values"),
        (an_object(points={"exterior": [["0", 0], [1, 1]]}), r"exterior\[0\]\[0\]: expected a number"),
        (an_object(tags=[{"name": "confidence", "value": []}]), r"tags\[0\].value: expected a number"),
        (an_object(geometryType="bitmap"), r"objects\[0\].bitmap: is missing"),
        (an_object(geometryType="bitmap", bitmap={"origin": [0, 0], "data": "?"}), "this is not base64"),
        (an_object(geometryType="bitmap", bitmap=packed(b"abc")), "this is not compressed by zlib"),
        (an_object(geometryType="bitmap", bitmap=packed(zlib.compress(b"abc"))), "expected a PNG of at most 60×40"),
        (an_object(geometryType="bitmap", bitmap=packed(zlib.compress(PNG_OF_A_BOMB))), "expected a PNG of at most 60×40"),
        (an_object(geometryType="bitmap", bitmap=packed(zlib.compress(bytes(10**7)))), "holds more than a picture"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(data: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Prediction.from_supervisely(data)


def test_masks_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bitmap = to_bitmap(masks_of((0, 0, 4, 4))[0])
    data = an_object(geometryType="bitmap", bitmap=bitmap)
    data["annotation"]["objects"] *= 3
    monkeypatch.setattr("aiohooks.prediction.supervisely.reading.MAX_MASK_BYTES", 2 * 40 * 60)
    with pytest.raises(SpecError, match=r"objects\[2\]: the masks of this prediction"):
        Prediction.from_supervisely(data)


@given(st.integers(-70, 70), st.integers(-50, 50))
def test_a_bitmap_is_cut_at_the_edges_of_the_frame(x: int, y: int) -> None:
    bitmap = to_bitmap(np.ones((5, 7), np.uint8))
    assert bitmap is not None
    found = from_bitmap(bitmap | {"origin": [x, y]}, SIZE, "bitmap")
    expected = np.zeros((200, 200), np.uint8)
    expected[y + 50 : y + 55, x + 70 : x + 77] = 1
    assert (found == expected[50:90, 70:130]).all()


@pytest.mark.parametrize(
    ("task", "shapes", "tags"),
    [
        (Task.DETECTION, ["rectangle", "rectangle"], ["confidence"]),
        (Task.ROTATED_DETECTION, ["oriented_bbox", "oriented_bbox"], ["confidence"]),
        (Task.INSTANCE_SEGMENTATION, ["bitmap", "bitmap"], ["confidence"]),
        (Task.SEGMENTATION, ["bitmap", "bitmap"], ["confidence"]),
        (Task.KEYPOINT_DETECTION, ["graph"], ["confidence", "cat", "dog"]),
        (Task.CLASSIFICATION, [], ["cat", "dog", "confidence"]),
        (Task.ANOMALY, ["any", "any"], ["confidence", "cat", "dog"]),
        (None, ["any", "any"], ["confidence", "cat", "dog"]),
    ],
)
def test_the_meta_tells_classes_by_the_task(task: Task | None, shapes: list[str], tags: list[str]) -> None:
    found = meta.model_meta(LABELS, task)
    assert [item["shape"] for item in found["classes"]] == shapes
    assert [tag["name"] for tag in found["tags"]] == tags
    read = meta.labels_of(json.loads(json.dumps(found)))
    assert [label.name for label in read.labels] == ["cat", "dog"]
    if task is Task.DETECTION:
        assert (found["classes"][0]["color"], read.labels[0].color) == ("#00FF00", "#00ff00")


def test_a_meta_of_others_is_read() -> None:
    nodes = {"uuid-1": {"label": "nose", "loc": [0, 0]}, "uuid-2": {}}
    data = {
        "classes": [{"title": "car", "shape": "any"}, {"title": "man", "shape": "graph", "geometry_config": {"nodes": nodes}}],
        "tags": [
            {"name": "conf", "value_type": "any_number"},
            {"name": "weather", "value_type": "oneof_string", "values": ["rain", "sun"]},
            {"name": "note", "value_type": "any_string"},
            {"name": "night", "value_type": "none"},
        ],
    }  # fmt: skip
    found = meta.labels_of(data)
    assert [label.name for label in found.labels] == ["car", "rain", "sun", "night", "nose", "uuid-2"]
    assert found.nodes == {"uuid-1": "nose", "uuid-2": "uuid-2"}
    with pytest.raises(SpecError, match=r"classes\[0\].title: is missing"):
        meta.labels_of({"classes": [{"shape": "any"}]})


def test_annotations_tell_the_meta_that_they_need() -> None:
    boxes = Prediction.detection(SIZE, LABELS, [[0, 0, 5, 5]], [1], ["cat"]).to_supervisely()["annotation"]
    outline = {"classTitle": "cat", "geometryType": "polygon", "tags": []}
    graph = {"classTitle": "man", "geometryType": "graph", "nodes": {"nose": {}}, "tags": []}
    found = meta.annotation_meta([boxes, {"tags": [], "objects": [outline, graph]}], LABELS)
    assert [(item["title"], item["shape"]) for item in found["classes"]] == [("cat", "any"), ("man", "graph")]
    assert found["classes"][0]["color"] == "#00FF00"
    assert [tag["name"] for tag in found["tags"]] == ["confidence"]
    assert list(found["classes"][1]["geometry_config"]["nodes"]) == ["nose"]
