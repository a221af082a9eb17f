import json
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.annotation import Label
from aiohooks.errors import LoadError
from aiohooks.inference.labels import LabelTable, color, given_labels, metadata_labels, read_labels
from aiohooks.inference.model_loading import load_model


def names(labels: tuple[Label, ...]) -> list[str]:
    return [label.name for label in labels]


def test_metadata_gives_names_with_their_spaces_ids_and_colors() -> None:
    info = {
        "labels": "traffic_light stop_sign",
        "label_ids": "a b",
        "label_info": json.dumps({"label_names": ["traffic light", "stop_sign"]}),
    }
    labels = metadata_labels(info)
    assert names(labels) == ["traffic light", "stop_sign"]
    assert [label.id for label in labels] == ["a", "b"]
    assert labels[0].color != labels[1].color


@pytest.mark.parametrize("label_info", ["", "no json", "[]", '{"label_names": 3}'])
def test_unreadable_label_info_leaves_the_names_as_they_are(label_info: str) -> None:
    assert names(metadata_labels({"labels": "traffic_light car", "label_ids": "one", "label_info": label_info})) == [
        "traffic_light",
        "car",
    ]


def test_label_file_has_one_name_per_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffgreat white shark\r\n crane \ncrane\n\n", encoding="utf-8")
    assert read_labels(path) == ["great white shark", "crane", "crane"]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot read"), (b"\xff\xfe\xff", "cannot read"), (b"\n \n", "is empty")]
)
def test_label_file_that_names_nothing_is_a_load_error(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LoadError, match=rf"{says}|labels\.txt"):
        given_labels(path)


def test_a_label_that_is_neither_name_nor_label_is_a_load_error() -> None:
    with pytest.raises(LoadError, match="got int at position 1"):
        given_labels(["cat", 3])  # type: ignore[list-item]


@given(st.integers(0, 300))
def test_colors_are_stable_distinct_hex(index: int) -> None:
    assert re.fullmatch("#[0-9a-f]{6}ff", color(index))
    assert color(index) == color(index)
    assert color(index) not in {color(other) for other in range(max(index - 20, 0), index)}


def test_a_class_without_a_label_is_called_by_its_number() -> None:
    empty = Label(name="No object", is_empty=True)
    table = LabelTable((Label(name="cat"),), first=1, extra=(empty,))
    labels, positions = table.locate(np.array([1, 4]))
    assert [labels[position].name for position in positions] == ["cat", "#3"]
    assert labels[-1] is empty
    assert table.locate(np.array([1]))[0] == table.all


def test_given_names_replace_those_of_the_metadata() -> None:
    assert names(load_model(tiny_models.classifier(), labels=["rot", "grün", "blau"]).labels) == ["rot", "grün", "blau"]


def test_names_can_come_with_the_parameters() -> None:
    assert names(load_model(tiny_models.classifier(), parameters={"labels": ["a", "b", "c"]}).labels) == ["a", "b", "c"]


def test_a_projects_labels_are_found_by_id_in_any_order() -> None:
    ids = [f"{index + 1:024x}" for index in range(3)]
    project = [
        Label(name="No class", id="e", is_empty=True),
        Label(name="Blau", id=ids[2], color="#0000ff"),
        Label(name="Rot", id=ids[0]),
        Label(name="green", id="changed"),
    ]
    labels = load_model(tiny_models.classifier(), labels=project).labels
    assert names(labels) == ["Rot", "green", "Blau", "No class"]
    assert labels[1].id == "changed"
    assert labels[2].color == "#0000ff"


def test_a_label_that_the_project_no_longer_has_keeps_its_name() -> None:
    project = [Label(name="Rot", id=f"{1:024x}"), Label(name="other", id="x")]
    assert names(load_model(tiny_models.classifier(), labels=project).labels) == ["Rot", "green", "blue"]


def test_the_models_class_for_nothing_takes_the_projects_empty_label() -> None:
    model = tiny_models.classifier(["red", "green", "otx_empty_lbl"])
    project = [Label(name="Rot", id=f"{1:024x}"), Label(name="No class", id="e", is_empty=True)]
    assert names(load_model(model, labels=project).labels) == ["Rot", "green", "No class"]


def test_labels_of_a_mask_model_start_after_the_one_for_nothing() -> None:
    assert names(load_model(tiny_models.instance_segmenter()).labels) == ["red", "green", "blue"]
    assert names(load_model(tiny_models.instance_segmenter(), labels=["a", "b", "c"]).labels) == ["a", "b", "c"]


def test_one_label_too_few_in_the_metadata_means_a_class_for_other() -> None:
    model = tiny_models.classifier()
    model.set_rt_info("red green", ["model_info", "labels"])
    assert names(load_model(model).labels) == ["other", "red", "green"]


def test_classes_without_any_names_are_numbered() -> None:
    for make in (tiny_models.classifier, tiny_models.segmenter, tiny_models.keypoints):
        model = make()
        kind = model.get_rt_info(["model_info", "model_type"]).astype(str)
        assert names(load_model(tiny_models.without_info(model), model_type=kind).labels) == ["#0", "#1", "#2"]


@pytest.mark.parametrize("given", [["a", "b"], ["a", "b", "c", "d"]])
@pytest.mark.parametrize(
    "make", [tiny_models.classifier, tiny_models.multi_label, tiny_models.segmenter, tiny_models.keypoints]
)
def test_a_wrong_number_of_names_is_a_load_error_with_both_numbers(make, given: list[str]) -> None:
    with pytest.raises(LoadError, match=rf"3 classes apart, but {len(given)} labels were given \(a, b"):
        load_model(make(), labels=given)


def test_a_model_of_any_batch_tells_its_number_of_classes_too() -> None:
    with pytest.raises(LoadError, match="2 classes apart, but 3 labels were given"):
        load_model(tiny_models.grey_classifier(), labels=["a", "b", "c"])


def test_too_few_labels_in_the_metadata_are_a_load_error_with_both_numbers() -> None:
    model = tiny_models.segmenter()
    model.set_rt_info("red", ["model_info", "labels"])
    with pytest.raises(LoadError, match=r"3 classes apart, but 1 labels are in its metadata \(red\)"):
        load_model(model)


def test_names_for_a_detector_must_be_as_many_as_its_metadata_has() -> None:
    with pytest.raises(LoadError, match=r"metadata names 3 \(red, green, blue\), 7 were given \(a, b, c, d, e, …\)"):
        load_model(tiny_models.detector(), labels=list("abcdefg"))


def test_an_anomaly_model_has_a_normal_and_an_anomalous_label() -> None:
    assert [label.is_anomalous for label in load_model(tiny_models.anomaly()).labels] == [False, True]
    project = [Label(name="Defect", is_anomalous=True), Label(name="Good")]
    assert names(load_model(tiny_models.anomaly(), labels=project).labels) == ["Good", "Defect"]
    bare = tiny_models.without_info(tiny_models.anomalib2())
    assert names(load_model(bare).labels) == ["Normal", "Anomaly"]
    with pytest.raises(LoadError, match=r"has 2, normal and anomalous; there are 3 \(a, b, c\)"):
        load_model(tiny_models.anomaly(), labels=["a", "b", "c"])
