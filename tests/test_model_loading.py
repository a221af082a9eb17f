"""Which files and options make a model, and what the others are told."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import tiny_formats
import tiny_models
from inferring import F32, predict, run
from openvino import opset13 as op
from tiny_models import picture, plain

from aiohooks.errors import LoadError
from aiohooks.frame import Frame
from aiohooks.inference.model_loading import load_model
from aiohooks.prediction import Prediction, Task

INFO = {
    "model_info model_type": "Classification",
    "model_info labels": "red green blue",
    "model_info scale_values": "25.5 25.5 25.5",
}


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(LoadError) as caught:
        load_model(source, **options)
    return str(caught.value)


# formats


def test_xml_brings_its_type_labels_and_thresholds(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.detector(confidence_threshold=0.95), tmp_path / "blobs.xml")
    assert len(predict(path, picture(red=(8, 4, 24, 20)))) == 0
    assert len(predict(str(path), picture(red=(8, 4, 24, 20)), parameters={"confidence_threshold": 0.5})) == 1


def test_onnx_brings_them_in_its_metadata(tmp_path: Path) -> None:
    path = tiny_formats.onnx_classifier(tmp_path / "model.onnx", INFO)
    prediction = predict(path, plain(green=230))
    assert prediction.label_names == ("green",)
    assert prediction.scores[0] > 0.99


def test_onnx_without_metadata_takes_them_as_options(tmp_path: Path) -> None:
    path = tiny_formats.onnx_classifier(tmp_path / "model.onnx", {"names": "{0: 'a'}"})
    prediction = predict(
        path,
        plain(green=230),
        model_type="classification",
        labels=["r", "g", "b"],
        parameters={"scale_values": [25.5] * 3},
    )
    assert prediction.label_names == ("g",)


def test_tflite_takes_a_decoder(tmp_path: Path) -> None:
    def decode(outputs: Any, frame: Frame) -> Prediction:
        means = outputs["relu"][0].mean((0, 1))
        return Prediction.classification(
            (frame.height, frame.width), ["red", "green", "blue"], [means.max()], [means.argmax()]
        )

    path = tiny_formats.tflite_relu(tmp_path / "model.tflite")
    prediction = predict(
        path, plain(red=20, blue=204, size=100), decoder=decode, parameters={"scale_values": [255] * 3}
    )
    assert prediction.label_names == ("blue",)
    assert prediction.scores[0] == pytest.approx(0.8, abs=1e-3)


def test_a_model_in_memory_is_left_as_it_is() -> None:
    model = tiny_models.classifier()
    load_model(model)
    assert str(model.inputs[0].partial_shape) == "[1,3,64,64]"


def test_one_score_per_class_with_labels_is_a_classifier() -> None:
    loaded = load_model(tiny_models.without_info(tiny_models.classifier(xai=True)), labels=["a", "b", "c"])
    assert loaded.task is Task.CLASSIFICATION


def test_the_users_model_type_wins_over_the_metadata() -> None:
    model = tiny_models.detector()
    model.set_rt_info("YOLO", ["model_info", "model_type"])
    assert load_model(model, model_type="SSD").task is Task.DETECTION


def test_outputs_go_by_their_well_known_name_or_their_first() -> None:
    image = op.parameter([1, 3, 8, 8], np.float32, name="image")
    vector, other = op.relu(image), op.abs(image)
    vector.output(0).get_tensor().set_names({"zeta", "feature_vector", "alpha"})
    other.output(0).get_tensor().set_names({"second", "first"})
    model = ov.Model([op.result(vector), op.result(other)], [image], "nameless")
    seen: list[str] = []

    def decode(outputs: Any, frame: Frame) -> Prediction:
        seen.extend(outputs)
        return Prediction.empty(Task.DETECTION, (frame.height, frame.width), [])

    predict(model, plain(), decoder=decode)
    assert seen == ["feature_vector", "first"]


# options


def test_description_says_what_it_is_and_how_it_runs() -> None:
    description = load_model(
        tiny_models.classifier(),
        config=F32,
        max_requests=3,
        performance_hint="latency",
        name="colours",
        parameters={"topk": 2},
    ).description
    assert (description.name, description.model_type, description.task) == (
        "colours",
        "Classification",
        "classification",
    )
    assert description.labels == ("red", "green", "blue")
    assert [(tensor.name, tensor.shape, tensor.dtype) for tensor in description.inputs] == [
        ("image", (1, -1, -1, 3), "u8")
    ]
    assert [(tensor.name, tensor.shape, tensor.dtype) for tensor in description.outputs] == [("logits", (1, 3), "f32")]
    assert (description.devices, description.precision, description.requests) == (("CPU",), "f32", 3)
    assert (description.performance_hint, description.preprocessing) == ("LATENCY", "in the graph")
    assert (description.parameters["topk"], description.parameters["scale_values"]) == (2, [255, 255, 255])


def test_a_device_that_chooses_says_which_it_chose() -> None:
    description = load_model(tiny_models.classifier(), device="AUTO:CPU").description
    assert (description.devices, description.precision) == (("CPU",), "")  # it does not tell the precision


def test_openvino_properties_win_over_the_hint() -> None:
    loaded = load_model(tiny_models.classifier(), performance_hint="LATENCY", config={"PERFORMANCE_HINT": "THROUGHPUT"})
    assert loaded.description.performance_hint == "THROUGHPUT"


def test_compiled_models_are_kept_in_the_cache_folder(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.classifier(), tmp_path / "model.xml")
    for _ in range(2):
        loaded = load_model(path, cache_dir=tmp_path / "cache")
        assert run(loaded, plain(red=230)).label_names == ("red",)
    assert len(list((tmp_path / "cache").glob("*.blob"))) == 1


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (
            {"confidence_treshold": 0.3},
            "unknown parameter 'confidence_treshold' for SSD; there are: agnostic_nms, confidence_threshold",
        ),
        ({"confidence_threshold": "high"}, "'confidence_threshold' = 'high': expected a number"),
        ({"resize_type": "squeeze"}, "'resize_type' = 'squeeze': .*fit_to_window"),
        ({"nms_execute": "maybe"}, "'nms_execute' = 'maybe': expected true or false"),
        ({"mean_values": 3}, "'mean_values' = 3"),
        ({"pad_value": -1}, "'pad_value' = -1: .*less than minimum"),
        ({"orig_height": "tall"}, "'orig_height' = 'tall': expected a whole number"),
        ({"input_dtype": "u16"}, "wants u16 pixels, frames have 8 bits"),
    ],
)
def test_a_wrong_parameter_is_a_load_error(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(LoadError, match=says):
        load_model(tiny_models.detector(), parameters=parameters)


def test_parameters_may_be_text_as_on_a_command_line() -> None:
    given = {
        "confidence_threshold": "0.25",
        "nms_execute": "yes",
        "mean_values": "1 2 3",
        "scale_values": (4, 5, 6),
        "pad_value": "7",
    }
    used = load_model(tiny_models.detector(), parameters=given).description.parameters
    assert (used["confidence_threshold"], used["nms_execute"], used["pad_value"]) == (0.25, True, 7)
    assert (used["mean_values"], used["scale_values"]) == ([1, 2, 3], [4, 5, 6])
    assert (
        load_model(tiny_models.detector(), parameters={"confidence_threshold": 1}).description.parameters[
            "confidence_threshold"
        ]
        == 1.0
    )


# what cannot be loaded


def test_missing_file_or_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.xml") == (
        f"{tmp_path / 'no.xml'}: there is no such file; expected an OpenVINO .xml (with its .bin beside it), an .onnx or a .tflite file"
    )
    assert "this is a folder" in refused(tmp_path)


@pytest.mark.parametrize("name", ["model.xml", "model.onnx", "model.tflite"])
def test_broken_file(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(b"<net")
    message = refused(tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: OpenVINO cannot read this as a model")
    assert "Exception from" not in message


def test_xml_without_its_weights(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.classifier(), tmp_path / "model.xml")
    path.with_suffix(".bin").unlink()
    assert "copy model.bin" in refused(path)


def test_unknown_model_type() -> None:
    message = refused(tiny_models.classifier(), model_type="resnet")
    assert "unknown model_type 'resnet'; known are AnomalyDetection, Classification," in message
    assert "SSD" in message
    assert "DetectionModel" not in message


def test_no_model_type_at_all() -> None:
    message = refused(tiny_models.unknown())
    assert "its outputs are means [1, 3] f32, boxes [1, 3, 5] f32" in message
    assert "model_type=" in message
    assert "decoder=" in message
    assert "model_type=" in refused(tiny_models.without_info(tiny_models.classifier()))  # no labels: may be features


def test_a_type_that_does_not_fit() -> None:
    assert "does not fit model_type 'Segmentation': Unexpected output layer shape [1, 3]" in refused(
        tiny_models.classifier(), model_type="segmentation"
    )
    assert "has no score per class and pixel" in refused(tiny_models.anomaly(), model_type="segmentation")
    features = tiny_models.without_info(tiny_models.features())
    assert "does not fit model_type 'Classification'" in refused(features, model_type="classification")
    assert "does not fit model_type 'SSD'" in refused(tiny_models.classifier(), model_type="ssd")


def test_metadata_with_a_wrong_value() -> None:
    assert "'confidence_threshold' in the model's metadata is 'half': could not convert string to float" in refused(
        tiny_models.classifier(confidence_threshold="half")
    )


def test_a_model_that_takes_no_pictures() -> None:
    row = op.parameter([1, 4], np.float32, name="row")
    assert "not a model for pictures: no input has four dimensions" in refused(
        ov.Model([op.relu(row)], [row], "table"), labels=["a"]
    )


def test_a_detector_of_free_size() -> None:
    assert "no fixed height and width, which SSD needs" in refused(tiny_models.free_size_detector())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "TPU"}, "cannot compile it for device 'TPU' (found here: CPU"),
        ({"config": {"WARP": 9}}, "Unsupported property WARP"),
        ({"performance_hint": "ludicrous"}, "LUDICROUS"),
        ({"max_requests": 0}, "max_requests must be at least 1, got 0"),
        ({"decoder": "decode"}, "decoder must be a function of outputs and frame, got str"),
    ],
)
def test_an_option_that_cannot_be(options: dict[str, Any], says: str) -> None:
    message = refused(tiny_models.classifier(), **options)
    assert message.startswith("tiny: ")
    assert says in message
