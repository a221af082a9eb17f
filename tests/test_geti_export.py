"""Deployments saved as Geti folders, and loaded again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geti_project
import pytest
import tiny_formats
import tiny_models
from geti_project import Task
from inferring import F32
from loops import on_one_loop
from tiny_models import picture

from aiohooks import Deployment
from aiohooks.errors import DeploymentError, SpecError
from aiohooks.inference.geti_export import copy_project, save_folder
from aiohooks.inference.geti_folder import read_project
from aiohooks.prediction import Prediction

pytestmark = [pytest.mark.anyio, on_one_loop]  # what a model says and how it is saved do not depend on it

IMAGE = picture((96, 128), red=(8, 4, 60, 50), green=(70, 40, 120, 90), blue=(20, 60, 40, 80))


def seen(prediction: Prediction) -> list[Any]:
    return [
        (annotation.shape, [(scored.name, scored.label.color, scored.probability) for scored in annotation.labels])
        for annotation in prediction.annotations
    ]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def saved_and_loaded(source: Any, folder: Path, **options: Any) -> tuple[Prediction, Prediction]:
    """What a deployment says, and what it says once it was saved and loaded."""
    async with Deployment.load(source, config=F32, **options) as deployment:
        said = await deployment.infer(IMAGE)
        assert await deployment.save(folder) == folder / "deployment"
    async with Deployment.load(folder, config=F32) as deployment:
        return said, await deployment.infer(IMAGE)


async def test_a_geti_deployment_is_copied_without_its_code(tmp_path: Path) -> None:
    source = geti_project.write(
        tmp_path / "source",
        Task("Big things", tiny_models.detector(xai=True), ("cat", "dog", "bird")),
        Task("Colours", tiny_models.classifier()),
    )
    (source / "deployment" / "Colours" / "model" / "extra.py").write_text("raise SystemExit")
    said, again = await saved_and_loaded(source, tmp_path / "saved")
    assert again.to_geti() == said.to_geti()
    assert len(said.scores) > len(said) > 0
    copy = tmp_path / "saved" / "deployment"
    copied = {str(path.relative_to(copy)): path for path in copy.rglob("*") if path.is_file()}
    assert sorted(copied) == [
        "Big things/hyper_parameters.json", "Big things/model.json", "Big things/model/config.json",
        "Big things/model/model.bin", "Big things/model/model.xml",
        "Colours/hyper_parameters.json", "Colours/model.json", "Colours/model/config.json",
        "Colours/model/model.bin", "Colours/model/model.xml", "project.json",
    ]  # fmt: skip
    for name, path in copied.items():
        assert path.read_bytes() == (source / "deployment" / name).read_bytes()
    assert names_in(copy / "Colours" / "python") == []
    assert names_in(tmp_path / "saved") == ["deployment"]


async def test_a_geti_deployment_is_saved_before_it_is_open(tmp_path: Path) -> None:
    source = geti_project.write(tmp_path / "source", Task("Detection", tiny_models.detector()))
    await Deployment.load(source).save(tmp_path / "saved" / "deployment")
    assert read_project(tmp_path / "saved").name == "Tiny project"


async def test_what_geti_sdk_needs_and_is_missing_is_written(tmp_path: Path) -> None:
    source = geti_project.write(tmp_path / "source", Task("Detection", tiny_models.detector()))
    for name in ("model.json", "model/config.json"):
        (source / "deployment" / "Detection" / name).unlink()
    await Deployment.load(source).save(tmp_path / "saved")
    task = tmp_path / "saved" / "deployment" / "Detection"
    assert json.loads((task / "model.json").read_text()).keys() >= {
        "name", "precision", "creation_date", "model_status", "optimization_methods", "optimization_objectives", "optimization_type",
    }  # fmt: skip
    assert json.loads((task / "model" / "config.json").read_text()) == {"task_type": "detection"}


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda: tiny_models.classifier(["a cat", "big_dog", "Bär"], xai=True), {}),
        (lambda: tiny_models.without_info(tiny_models.classifier()), {
            "model_type": "Classification", "labels": ["a b", "c", "d"], "parameters": {"scale_values": [255, 255, 255]},
        }),
        (lambda: tiny_models.classifier(), {"labels": ["green", "red", "blue"]}),
        (tiny_models.multi_label, {"parameters": {"confidence_threshold": 0.01}}),
        (tiny_models.hierarchical, {}),
        (tiny_models.detector, {"parameters": {"confidence_threshold": "0.4"}}),
        (tiny_models.yolo, {}),
        (tiny_models.yolo_segmenter, {}),
        (tiny_models.instance_segmenter, {}),
        (lambda: tiny_models.without_info(tiny_models.instance_segmenter()), {
            "model_type": "MaskRCNN", "labels": ["r", "g", "b"], "parameters": {"scale_values": [255, 255, 255]},
        }),
        (tiny_models.segmenter, {}),
        (tiny_models.anomaly, {}),
        (lambda: tiny_models.anomaly(task="anomaly_segmentation"), {}),
        (lambda: tiny_models.without_info(tiny_models.anomaly()), {
            "model_type": "AnomalyDetection", "parameters": {"task": "segmentation", "pixel_threshold": 0.2, "scale_values": [255, 255, 255]},
        }),
        (tiny_models.anomalib2, {}),
    ],
)  # fmt: skip
async def test_a_model_becomes_a_project_that_says_the_same(
    tmp_path: Path, make: Callable[[], Any], options: dict[str, Any]
) -> None:
    said, again = await saved_and_loaded(tiny_models.save(make(), tmp_path / "pets.xml"), tmp_path / "saved", **options)
    assert seen(again) == seen(said)
    assert again.task == said.task
    (task,) = read_project(tmp_path / "saved").tasks
    assert all(label.id for label in task.labels)
    assert [label.name for label in task.labels] == [label.name for label in said.labels]
    assert sum(label.is_anomalous for label in task.labels) == (1 if task.task_type.startswith("anomaly") else 0)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (tiny_models.detector, {"tile_size": 64, "tiles_overlap": 0}),
        (tiny_models.detector, {
            "tile_size": 50, "tiles_overlap": 0.2, "tile_with_full_img": False, "max_pred_number": 1, "iou_threshold": 0.2,
        }),
        (lambda: tiny_models.detector(tile_size=64, tiles_overlap=0.3), {"tiles_overlap": 0, "tile_size": "40"}),
        (lambda: tiny_models.detector(tile_size=64, iou_threshold=0.3), {}),
        (lambda: tiny_models.detector(tile_size=64), {"tile_size": 0}),
        (tiny_models.detector, {"tile_size": 0}),
        (lambda: tiny_models.segmenter(tile_size=64), {"tile_size": "0"}),
        (lambda: tiny_models.classifier(tile_size=64), {}),
    ],
)  # fmt: skip
async def test_a_saved_model_is_tiled_as_it_was(
    tmp_path: Path, make: Callable[[], Any], parameters: dict[str, Any]
) -> None:
    async with Deployment.load(make(), config=F32, parameters=parameters) as deployment:
        said, was = await deployment.infer(IMAGE), deployment.describe()
        await deployment.save(tmp_path)
    async with Deployment.load(tmp_path, config=F32) as deployment:
        again, now = await deployment.infer(IMAGE), deployment.describe()
    assert now.tiling == was.tiling
    assert now.parameters.get("iou_threshold") == was.parameters.get("iou_threshold")
    assert seen(again) == seen(said)


async def test_shapes_of_a_saved_model_are_in_whole_pixels(tmp_path: Path) -> None:
    for make in (tiny_models.rotated_detector, tiny_models.keypoints):
        said, again = await saved_and_loaded(make(), tmp_path / make.__name__)
        assert again.label_names == said.label_names
        assert abs(again.boxes - said.boxes).max() <= 1
        for one, other in ((again.keypoints, said.keypoints), (again.rotated_boxes, said.rotated_boxes)):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert (one[:, :2] == one[:, :2].round()).all()
                assert abs(one[:, :2] - other[:, :2]).max() <= 1


@pytest.mark.parametrize("xai", [True, False])
async def test_what_a_saved_model_says_of_itself(tmp_path: Path, xai: bool) -> None:
    await saved_and_loaded(tiny_models.save(tiny_models.classifier(xai=xai), tmp_path / "pets.xml"), tmp_path / "saved")
    project = read_project(tmp_path / "saved")
    (task,) = project.tasks
    assert (project.name, task.title, task.task_type) == ("pets", "Classification", "classification")
    assert (task.model.name, task.model.precision, task.model.optimization) == ("pets OpenVINO", ("FP32",), "MO")
    assert task.model.has_xai_head == xai
    about = json.loads((task.folder / "model.json").read_text())
    assert about["size"] == (task.folder / "model" / "model.bin").stat().st_size


async def test_other_formats_become_openvinos(tmp_path: Path) -> None:
    path = tiny_formats.onnx_classifier(tmp_path / "pets.onnx", {"names": "{0: 'a'}"})
    options = {"model_type": "classification", "labels": ["r", "g", "b"], "parameters": {"scale_values": [25.5] * 3}}
    said, again = await saved_and_loaded(path, tmp_path / "saved", **options)
    assert seen(again) == seen(said)
    said, again = await saved_and_loaded(tiny_models.classifier(layout="NHWC"), tmp_path / "other")
    assert seen(again) == seen(said)


async def test_a_decoder_is_not_saved(tmp_path: Path) -> None:
    def decode(outputs: Any, frame: Any) -> Prediction:
        raise NotImplementedError

    async with Deployment.load(tiny_models.unknown(), decoder=decode) as deployment:
        with pytest.raises(SpecError, match=r"decoder .*decode, which is code, and a deployment folder holds none"):
            await deployment.save(tmp_path / "saved")
    assert names_in(tmp_path) == []


async def test_a_model_must_be_open_and_from_somewhere(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="is new: use it in `async with`"):
        await Deployment.load(tiny_models.classifier()).save(tmp_path)

    async def nothing() -> Any: ...

    with pytest.raises(DeploymentError, match="was not loaded from a model or a folder"):
        await Deployment("own", nothing).save(tmp_path)
    assert names_in(tmp_path) == []


async def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    one = geti_project.write(tmp_path / "one", Task("Detection", tiny_models.detector()), name="one")
    two = geti_project.write(tmp_path / "two", Task("Detection", tiny_models.detector()), name="two")
    (two / "deployment" / "notes.txt").write_text("mine")
    deployment = Deployment.load(one)
    with pytest.raises(DeploymentError, match=r"deployment: cannot be saved: .*pass overwrite=True to replace"):
        await deployment.save(two)
    assert read_project(two).name == "two"
    await deployment.save(two, overwrite=True)
    assert read_project(two).name == "one"
    assert names_in(two) == ["deployment"]
    assert not (two / "deployment" / "notes.txt").exists()
    other = tmp_path / "other" / "deployment"
    other.mkdir(parents=True)
    (other / "precious").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(DeploymentError, match=r"this place is taken; pass another folder"):
            await deployment.save(other, overwrite=overwrite)
    assert (other / "precious").read_text() == "mine"
    (other / "precious").unlink()
    assert await deployment.save(other) == other


async def test_saving_to_where_it_came_from_leaves_the_models_alone(tmp_path: Path) -> None:
    source = geti_project.write(tmp_path, Task("Detection", tiny_models.detector())) / "deployment"
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*") if path.is_file()}
    for folder in (tmp_path, source):
        assert await Deployment.load(tmp_path).save(folder) == source
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*") if path.is_file()} == before
    project = read_project(source)
    for content in (b"1", b"2"):
        save_folder(tmp_path, lambda _: None, {"beside.json": content}, source=project.folder, overwrite=False)
        assert (source / "beside.json").read_bytes() == content
    assert names_in(source) == ["Detection", "beside.json", "project.json"]


async def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = geti_project.write(tmp_path / "source", Task("Detection", tiny_models.detector()))
    project = read_project(source)

    def fail(folder: Path) -> None:
        copy_project(project, folder)
        raise OSError("the disk is full")

    for overwrite in (False, True):
        with pytest.raises(DeploymentError, match="cannot be saved: the disk is full"):
            save_folder(tmp_path / "saved", fail, {}, source=None, overwrite=overwrite)
        assert names_in(tmp_path) == ["source"]
    save_folder(
        tmp_path / "saved", lambda to: copy_project(project, to), {"a.json": b"{}"}, source=None, overwrite=False
    )
    with pytest.raises(DeploymentError, match="the disk is full"):
        save_folder(tmp_path / "saved", fail, {}, source=None, overwrite=True)
    assert names_in(tmp_path / "saved") == ["deployment"]
    assert (tmp_path / "saved" / "deployment" / "a.json").read_bytes() == b"{}"
    rename = Path.rename

    def fail_at_last(self: Path, target: Path) -> Path:
        if (self / "a.json").exists():
            return rename(self, target)
        raise OSError("the disk has gone")

    monkeypatch.setattr(Path, "rename", fail_at_last)
    with pytest.raises(DeploymentError, match="the disk has gone"):
        save_folder(tmp_path / "saved", lambda to: copy_project(project, to), {}, source=None, overwrite=True)
    assert names_in(tmp_path / "saved") == ["deployment"]
    assert (tmp_path / "saved" / "deployment" / "a.json").read_bytes() == b"{}"
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(DeploymentError, match="file/deployment: cannot be saved"):
        await Deployment.load(source).save(tmp_path / "file")


async def test_parameters_of_a_geti_deployment_are_not_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = geti_project.write(tmp_path / "source", Task("Detection", tiny_models.detector()))
    await Deployment.load(source, parameters={"confidence_threshold": 0.9}).save(tmp_path / "saved")
    assert "the parameters that Tiny project was loaded with are not saved" in caplog.text
