"""Predictions that are assembled are those that the checking constructor would have made."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_model_decoding import CLASSIFIERS, DETECTORS, candidates, logits, sides

from aiohooks.inference import conversion
from aiohooks.prediction import Prediction
from aiohooks.prediction.assemble import numbers, whole_frame


def is_what_the_constructor_makes(prediction: Prediction) -> None:
    given_to_it = {field.name: getattr(prediction, field.name) for field in fields(prediction) if field.init}
    checked = Prediction(**given_to_it)
    for name in given_to_it:
        mine, its = getattr(prediction, name), getattr(checked, name)
        if isinstance(its, np.ndarray):
            np.testing.assert_array_equal(mine, its)
            assert mine.dtype == its.dtype
            assert not mine.flags.writeable
        else:
            assert mine == its
    assert prediction.annotations == checked.annotations
    assert repr(prediction) == repr(checked)


@given(logits, sides, sides)
def test_of_classifiers(scores: NDArray[np.float32], height: int, width: int) -> None:
    decode = conversion.classification(*CLASSIFIERS[1])
    outputs = {"logits": scores, "feature_vector": np.ones((1, 4, 1, 1), np.float32)}
    is_what_the_constructor_makes(decode(outputs, {"original_shape": (height, width, 3)}))


@given(candidates, st.integers(0, 2), sides, sides)
def test_of_detectors(rows: NDArray[np.float32], label: int, height: int, width: int) -> None:
    decode = conversion.detection(*DETECTORS["standard"])
    rows[0, :, 4] = np.clip(rows[0, :, 4], -1, 1.5)
    outputs = {"bboxes": rows, "labels": np.full((1, 4), label), "saliency_map": np.full((1, 3, 2, 2), 300.4)}
    is_what_the_constructor_makes(decode(outputs, {"original_shape": (height, width, 3)}))


@pytest.mark.parametrize("stop", [3, 256, 257, 1000])
def test_numbers_in_a_row(stop: int) -> None:
    assert numbers(2, stop).tolist() == list(range(2, stop))
    assert not numbers(2, stop).flags.writeable


def test_the_box_around_a_picture() -> None:
    assert whole_frame((3, 4)).tolist() == [[0, 0, 4, 3]]
    assert not whole_frame((3, 4)).flags.writeable


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    decode = conversion.classification(*CLASSIFIERS[1])
    with pytest.raises(ValueError, match="scores"), np.errstate(invalid="ignore"):
        decode({"logits": np.full((1, 3), bad, np.float32)}, {"original_shape": (8, 8, 3)})
