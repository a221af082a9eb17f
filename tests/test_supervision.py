import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
import supervision
from hypothesis import given
from prediction_strategies import LABELS, predictions

from aiohooks.prediction import Prediction, Task
from aiohooks.shapes import bounds

SIZE = (48, 64)


@given(predictions())
def test_each_object_is_a_row_with_its_best_label(prediction: Prediction) -> None:
    detections = prediction.to_supervision()
    assert isinstance(detections, supervision.Detections)
    best = [max(a.labels, key=lambda scored: scored.probability) for a in prediction.annotations]
    assert len(detections) == len(prediction)
    np.testing.assert_allclose(
        detections.xyxy, np.array([bounds(a.shape) for a in prediction.annotations]).reshape(-1, 4)
    )
    if best:
        assert detections.confidence.tolist() == [scored.probability for scored in best]
        assert [LABELS[i] for i in detections.class_id] == [scored.label for scored in best]
        assert detections.data["class_name"].tolist() == [scored.name for scored in best]
        assert ("xyxyxyxy" in detections.data) == (prediction.task is Task.ROTATED_DETECTION)
        if prediction.masks is not None:
            np.testing.assert_array_equal(detections.mask, prediction.masks.astype(bool))


def test_polygons_become_masks() -> None:
    arrays: dict[str, Any] = {
        "boxes": np.array([[5, 5, 20, 20], [0, 0, 9, 9]], np.float32),
        "scores": np.array([0.5, 0.25], np.float32),
        "label_indices": np.array([0, 1], np.int32),
    }
    square = np.array([[5, 5], [20, 5], [20, 20], [5, 20]], np.float32)
    prediction = Prediction(
        task=Task.INSTANCE_SEGMENTATION, size=SIZE, labels=LABELS, polygons=(square, None), **arrays
    )
    detections = prediction.to_supervision()
    assert detections.mask is not None
    assert detections.mask.shape == (2, *SIZE)
    assert detections.mask[0].sum() == 16 * 16
    assert detections.mask[0, 5:21, 5:21].all()
    assert detections.mask[1].sum() == 10 * 10


def test_rotated_boxes_are_where_supervision_looks_for_them() -> None:
    box = (30, 20, 20, 10, 30)
    prediction = Prediction(
        task=Task.ROTATED_DETECTION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[0, 0, 64, 48]], np.float32),
        scores=np.array([0.5], np.float32),
        label_indices=np.array([0], np.int32),
        rotated_boxes=np.array([box], np.float32),
    )
    corners = prediction.to_supervision().data["xyxyxyxy"]
    assert corners.shape == (1, 4, 2)
    expected = cv2.boxPoints((box[:2], box[2:4], box[4]))
    np.testing.assert_allclose(sorted(corners[0].tolist()), sorted(expected.tolist()), atol=1e-4)
    drawn = supervision.OrientedBoxAnnotator().annotate(np.zeros((*SIZE, 3), np.uint8), prediction.to_supervision())
    assert drawn.any()


def test_an_object_without_a_label_is_left_out() -> None:
    prediction = Prediction(
        task=Task.DETECTION,
        size=SIZE,
        labels=LABELS,
        boxes=np.array([[0, 0, 5, 5], [1, 1, 6, 6]], np.float32),
        scores=np.array([0.5], np.float32),
        label_indices=np.array([0], np.int32),
        object_indices=np.array([1], np.int32),
    )
    assert prediction.to_supervision().xyxy.tolist() == [[1, 1, 6, 6]]


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match=r"install aiohooks\[supervision\]"):
        Prediction.empty(Task.DETECTION, SIZE, LABELS).to_supervision()


def test_everything_else_works_without_the_package() -> None:
    code = (
        "import sys; sys.modules['supervision'] = None\n"
        "import numpy as np\n"
        "from aiohooks.prediction import Prediction\n"
        "prediction = Prediction.detection((48, 64), ['cat'], [[1, 2, 30, 40]], [0.5], [0])\n"
        "print(prediction.draw(np.zeros((48, 64, 3), np.uint8)).any(), len(prediction.to_geti()['annotations']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "1"]
