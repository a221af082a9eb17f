"""`aiohooks info`: what a model is."""

import json
from pathlib import Path

import geti_project
import msgspec
import pytest
from tiny_models import classifier, detector, save, unknown

from aiohooks.cli import main
from aiohooks.cli.info import sheet
from aiohooks.inference.loaded_model import ModelDescription, TensorDescription
from aiohooks.inference.tiling import Tiling
from aiohooks.prediction import Task

DESCRIPTION = ModelDescription(
    name="pets",
    model_type="Classification",
    task=Task.CLASSIFICATION,
    labels=("cat", "dog"),
    inputs=(TensorDescription("image", (1, -1, -1, 3), "u8"),),
    outputs=(TensorDescription("logits", (1, 2), "f32"), TensorDescription("count", (), "i64")),
    preprocessing="in the graph",
    devices=("CPU", "GPU"),
    precision="f32",
    performance_hint="THROUGHPUT",
    requests=4,
    parameters={"topk": 1, "mean_values": [0.0, 1.5], "path": None},
)


def test_a_description_is_a_sheet():
    assert (
        "\n".join(sheet(DESCRIPTION, width=80))
        == """\
model           pets
task            classification
type            Classification
labels          2
                cat, dog
inputs          image   u8   1 × any × any × 3
outputs         logits   f32   1 × 2
                count    i64   scalar
preprocessing   in the graph
device          CPU, GPU
precision       f32
compiled for    throughput
requests        4 at once
parameters      mean_values   0.0 1.5
                path          None
                topk          1"""
    )


def test_what_is_not_known_is_left_out():
    lines = sheet(
        msgspec.structs.replace(DESCRIPTION, task=None, labels=(), parameters={}, precision="", performance_hint=""),
        width=80,
    )
    assert lines[1:4] == [
        "task            its decoder decides",
        "type            Classification",
        "labels          none",
    ]
    assert lines[-2:] == ["device          CPU, GPU", "requests        4 at once"]


def test_tiles_are_told():
    tiles = Tiling(tile_size=400, tiles_overlap=0.25, max_pred_number=1500)
    told = sheet(msgspec.structs.replace(DESCRIPTION, task=Task.DETECTION, tiling=tiles), width=80)
    assert told[9:11] == [
        "tiles           400 × 400 pixels, overlapping by 25%, and the whole picture",
        "                at most 1,500 objects; of two that overlap by more than 45%, the better one",
    ]
    pixels = Tiling(tile_size=400, tile_with_full_img=False)
    told = sheet(msgspec.structs.replace(DESCRIPTION, task=Task.SEGMENTATION, tiling=pixels), width=80)
    assert told[9:11] == ["tiles           400 × 400 pixels, overlapping by 50%", "device          CPU, GPU"]


@pytest.mark.parametrize("width", [10, 40, 80])
def test_many_labels_are_wrapped_and_the_rest_counted(width: int):
    labels = tuple(f"label {number}" for number in range(1234))
    lines = sheet(msgspec.structs.replace(DESCRIPTION, labels=labels), width=width)
    told = [line[16:] for line in lines[3 : next(i for i, line in enumerate(lines) if line.startswith("inputs"))]]
    assert told[0] == "1,234"
    assert " ".join(told[1:]).endswith("label 49 and 1,184 more; --json tells all")
    assert all(len(line) <= max(20, width - 16) for line in told)


def test_a_model_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = save(classifier(), tmp_path / "colours.xml")
    assert main(["info", str(path), "--max-requests", "1", "--parameter", "confidence_threshold=0.25"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:5] == [
        ["model", "colours"], ["task", "classification"], ["type", "Classification"], ["labels", "3"],
        ["red,", "green,", "blue"],
    ]  # fmt: skip
    assert ["device", "CPU"] in lines
    assert ["requests", "1", "at", "once"] in lines
    assert ["parameters", "confidence_threshold", "0.25"] in lines


def test_a_model_is_told_to_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = save(classifier(["größe", "猫", "c"]), tmp_path / "model.xml")
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labels"] == ["größe", "猫", "c"]
    assert told["outputs"] == [{"name": "logits", "shape": [1, 3], "dtype": "f32"}]
    assert told["parameters"]["confidence_threshold"] == 0.5


def test_a_model_of_unknown_kind_is_an_error_beside_what_a_decoder_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = save(unknown(), tmp_path / "model.xml")
    assert main(["info", str(path)]) == 1
    shown = capsys.readouterr()
    lines = [line.split("  ") for line in shown.out.splitlines()]
    assert [line[0] for line in lines] == ["model", "inputs", "outputs", ""]
    assert "image" in shown.out
    assert "means" in shown.out
    assert "boxes" in shown.out
    assert shown.err.startswith(f"aiohooks info: {path}: ")


def test_parameters_of_a_task_in_a_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = geti_project.write(
        tmp_path,
        geti_project.Task("The detector", detector()),
        geti_project.Task("Classification", classifier()),
    )
    assert main(["info", str(folder), "--json", "--parameter", "The detector.confidence_threshold=0.25"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[0]["parameters"]["confidence_threshold"] == 0.25
    assert main(["info", str(folder), "--parameter", "confidence_threshold=0.25"]) == 1
    assert "this project has several tasks (The detector, Classification)" in capsys.readouterr().err
