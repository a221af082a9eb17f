"""The lean decoders against Model API's own, and the geometry of masks."""

from typing import Any

import cv2
import numpy as np
import pytest
import tiny_models
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_api.models import SSD, ClassificationModel
from numpy.typing import NDArray

from aiohooks.inference import conversion, graph, outlines
from aiohooks.inference.adapter import GraphAdapter
from aiohooks.inference.labels import LabelTable, metadata_labels
from aiohooks.inference.top_class import probabilities
from aiohooks.prediction import Prediction


def wrapped(cls: type[Any], model: Any, **configuration: Any) -> tuple[Any, LabelTable]:
    info = graph.metadata(model)
    return cls(GraphAdapter(model, info, "CPU"), configuration), LabelTable(metadata_labels(info))


CLASSIFIERS = {top: wrapped(ClassificationModel, tiny_models.classifier(), topk=top) for top in (1, 2, 3)}
MULTI_LABEL = wrapped(ClassificationModel, tiny_models.multi_label(), output_raw_scores=True)
DETECTORS = {
    kind: wrapped(SSD, tiny_models.any_boxes(height=30, width=50), resize_type=kind)
    for kind in ("standard", "fit_to_window", "fit_to_window_letterbox")
}

logits = hnp.arrays(np.float32, (1, 3), elements=st.floats(-30, 30, width=32))


@given(logits, st.sampled_from([1, 2, 3]))
def test_multi_class_is_what_model_api_says(scores: NDArray[np.float32], top: int) -> None:
    wrapper, table = CLASSIFIERS[top]
    meta = {"original_shape": (8, 8, 3)}
    expected = wrapper.postprocess({"logits": scores.copy()}, meta).top_labels
    prediction = conversion.classification(wrapper, table)({"logits": scores}, meta)
    assert np.allclose(prediction.scores, [label.confidence for label in expected], atol=1e-6)
    if len(set(prediction.class_scores.tolist())) == 3:  # type: ignore[union-attr]
        assert prediction.label_names == tuple(label.name for label in expected)


@given(logits)
def test_multi_label_is_what_model_api_says(scores: NDArray[np.float32]) -> None:
    wrapper, table = MULTI_LABEL
    meta = {"original_shape": (8, 8, 3)}
    expected = wrapper.postprocess({"logits": scores.copy()}, meta)
    prediction = conversion.classification(wrapper, table)({"logits": scores}, meta)
    assert prediction.label_names == tuple(label.name for label in expected.top_labels)
    assert np.allclose(prediction.class_scores, expected.raw_scores, atol=1e-6)  # type: ignore[arg-type]


@given(hnp.arrays(np.float32, 3, elements=st.floats(0.0625, 1, width=32)))
def test_probabilities_are_not_softmaxed_again(weights: NDArray[np.float32]) -> None:
    given_as = (weights / weights.sum()).astype(np.float32)
    assert probabilities(given_as) is given_as


# 3.75 · 60 / 50 is 4.5 exactly, or a little more by way of the unit square.
ON_A_HALF = np.full((1, 4, 5), [0, 0, 3.75, 20, 1], np.float32)
candidates = hnp.arrays(np.float32, (1, 4, 5), elements=st.floats(-10, 80, width=32))
sides = st.integers(1, 500)


@given(
    candidates,
    hnp.arrays(np.float32, 4, elements=st.floats(0, 1, width=32)),
    sides,
    sides,
    st.sampled_from([*DETECTORS]),
)
@example(ON_A_HALF, np.ones(4, np.float32), 30, 60, "standard")
def test_boxes_are_what_model_api_says(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], height: int, width: int, kind: str
) -> None:
    wrapper, table = DETECTORS[kind]
    boxes[0, :, 4] = scores
    outputs = {"bboxes": boxes, "labels": np.array([[0, 1, 2, 0]])}
    meta = {"original_shape": (height, width, 3)}
    expected = wrapper.postprocess({name: values.copy() for name, values in outputs.items()}, meta)
    kept = (expected.bboxes[:, 2:] > expected.bboxes[:, :2]).all(axis=1)  # not those that are inside out
    prediction = conversion.detection(wrapper, table)(outputs, meta)
    assert prediction.boxes.tolist() == expected.bboxes[kept].tolist()
    assert prediction.label_names == tuple(name for name, keep in zip(expected.label_names, kept, strict=True) if keep)
    assert np.array_equal(prediction.scores, expected.scores[kept])


def test_boxes_without_an_output_for_labels_are_of_the_first_class() -> None:
    wrapper, table = wrapped(SSD, tiny_models.unknown())
    outputs = {
        "means": np.zeros((1, 3), np.float32),
        "boxes": np.array([[[1, 2, 11, 12, 0.9], [0, 0, 9, 9, 0.8]]], np.float32),
    }
    prediction = conversion.detection(wrapper, table)(outputs, {"original_shape": (64, 64, 3)})
    assert prediction.label_names == ("#0", "#0")


def test_padding_of_class_minus_one_is_no_object() -> None:
    wrapper, table = DETECTORS["standard"]
    outputs = {
        "bboxes": np.array([[[1, 2, 11, 12, 0.9], [0, 0, 9, 9, 0.8]]], np.float32),
        "labels": np.array([[-1, 2]]),
    }
    prediction: Prediction = conversion.detection(wrapper, table)(outputs, {"original_shape": (64, 64, 3)})
    assert prediction.label_names == ("blue",)


masks = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 1))


@given(masks)
def test_outlines_lie_on_the_mask_and_enclose_an_area(mask: NDArray[np.uint8]) -> None:
    for line, holes in outlines.outer_outlines(mask, every_point=True):
        assert mask[line[:, 1], line[:, 0]].all()
        assert cv2.contourArea(line) >= 1
        x1, y1, x2, y2 = outlines.box_around(line)
        assert all(((hole >= (x1, y1)) & (hole < (x2, y2))).all() for hole in holes)


@given(masks)
def test_loops_pass_no_point_twice_and_keep_the_area(mask: NDArray[np.uint8]) -> None:
    for line, _ in outlines.outer_outlines(mask, every_point=True):
        parts = list(outlines.loops(line))
        for part in parts:
            assert len({tuple(point) for point in part.tolist()}) == len(part) > 2
        assert sum(cv2.contourArea(part) for part in parts) == pytest.approx(cv2.contourArea(line))


def test_the_loop_that_begins_last_comes_first() -> None:
    one, two = [[10, 2], [14, 2], [14, 4]], [[10, 6], [14, 6], [14, 8]]
    line = np.array([[0, 0], [10, 0], *one, [10, 2], *two, [10, 6], [10, 10], [0, 10]], np.int32)
    around = [[0, 0], [10, 0], [10, 2], [10, 6], [10, 10], [0, 10]]
    assert [loop.tolist() for loop in outlines.loops(line)] == [two, one, around]


def test_a_loop_without_area_is_left_out() -> None:
    mask = np.zeros((12, 12), np.uint8)
    mask[2:6, 2:6] = 1
    mask[3, 6:11] = 1  # a spur, one pixel wide: there and back
    ((line, _),) = outlines.outer_outlines(mask, every_point=True)
    (loop,) = outlines.loops(line)
    assert outlines.box_around(loop) == (2, 2, 7, 6)  # of the spur, the corner by which the line leaves
    flat = np.array([[0, 0], [1, 0], [2, 0]], np.int32)
    assert list(outlines.loops(flat)) == []


@given(masks)
def test_the_largest_outline_is_the_largest(mask: NDArray[np.uint8]) -> None:
    largest = outlines.largest_outline(mask)
    areas = [cv2.contourArea(line) for line, _ in outlines.outer_outlines(mask)]
    assert (largest is None) == (not areas)
    assert largest is None or cv2.contourArea(largest) == max(areas)


@given(st.floats(0, 180), st.integers(40, 90), st.integers(8, 30))
def test_a_rotated_box_has_the_objects_size_and_an_angle_below_90(angle: float, length: int, breadth: int) -> None:
    mask = np.zeros((160, 160), np.uint8)
    corners = cv2.boxPoints(((80, 80), (length, breadth), angle))
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
    line = outlines.largest_outline(mask)
    assert line is not None
    x, y, width, height, found = outlines.rotated_box_around(line)
    assert 0 <= found < 90
    assert abs(x - 80) < 2
    assert abs(y - 80) < 2
    turned = cv2.boxPoints(((x, y), (width, height), found))
    assert max(np.abs(corners - point).sum(axis=1).min() for point in turned) < 6


def test_the_mean_inside_leaves_out_what_is_outside_and_in_holes() -> None:
    values = np.zeros((20, 20), np.float32)
    values[4:16, 4:16] = 0.5
    region = (values > 0).astype(np.uint8)
    region[8:12, 8:12] = 0
    values[9:11, 9:11] = 100
    ((line, holes),) = outlines.outer_outlines(region, every_point=True)
    assert outlines.mean_inside(values, line, holes) == pytest.approx(0.5)
