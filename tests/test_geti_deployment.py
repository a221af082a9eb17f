"""Deployments of Geti: every task type, from its folder to its result."""

import json
from pathlib import Path
from typing import Any

import geti_project
import numpy as np
import openvino as ov
import pytest
import tiny_models
from geti_project import Task
from inferring import F32
from loops import on_one_loop
from tiny_models import picture, plain

from aiohooks import Deployment
from aiohooks.annotation import Keypoint, Label, Polygon, Rectangle, RotatedRectangle
from aiohooks.cli import main
from aiohooks.errors import DeploymentError, LoadError
from aiohooks.inference import infer_queue
from aiohooks.inference.geti_geometry import as_in_geti
from aiohooks.prediction import Prediction
from aiohooks.prediction import Task as PredictionTask

pytestmark = pytest.mark.anyio

BOX = picture(red=(8, 4, 40, 36))
CAT = Rectangle(8, 4, 32, 32)
WHOLE = Rectangle(0, 0, 64, 64)
NAMES = ("cat", "dog", "bird")
NORMAL = ("Normal", "Anomaly")


async def predicted(folder: Path, image: Any, **options: Any) -> Prediction:
    async with Deployment.load(folder, config=F32, **options) as deployment:
        return await deployment.infer(image)


def compiled_code(folder: Path) -> list[Path]:
    return list(folder.rglob("__pycache__"))


@on_one_loop
@pytest.mark.parametrize(
    ("task_type", "model", "labels", "image", "found"),
    [
        ("classification", tiny_models.classifier(), NAMES, plain(red=204), [("cat", WHOLE)]),
        ("classification", tiny_models.multi_label(), NAMES, plain(red=250, blue=250), [("cat bird", WHOLE)]),
        (
            "classification", tiny_models.hierarchical(), ("light", "dark", "pale red", "pale blue", "green tint"),
            plain(red=250, blue=200, green=160), [("green tint light pale red", WHOLE)],
        ),
        ("detection", tiny_models.detector(), NAMES, BOX, [("cat", CAT)]),
        ("rotated_detection", tiny_models.rotated_detector(), NAMES, BOX, [("cat", RotatedRectangle(0, 23, 19, 32, 32))]),
        ("instance_segmentation", tiny_models.instance_segmenter(), NAMES, BOX, [("cat", Polygon)]),
        ("segmentation", tiny_models.segmenter(), NAMES, BOX, [("cat", Polygon)]),
        ("anomaly", tiny_models.anomaly(), NORMAL, plain(250, 250, 250), [("Anomaly", WHOLE)]),
        ("anomaly_classification", tiny_models.anomaly(), NORMAL, plain(5, 5, 5), [("Normal", WHOLE)]),
        ("anomaly_segmentation", tiny_models.anomaly(), NORMAL, picture(red=(8, 4, 40, 36), green=(8, 4, 40, 36)), [("Anomaly", Polygon)]),
        ("anomaly_detection", tiny_models.anomaly(), NORMAL, picture(red=(8, 4, 40, 36), green=(8, 4, 40, 36)), [("Anomaly", CAT)]),
        (
            "keypoint_detection", tiny_models.keypoints(), NAMES, picture(red=(10, 20, 11, 21), value=250),
            [("cat", Keypoint(10, 20))],
        ),
    ],
)  # fmt: skip
async def test_every_task_type(
    tmp_path: Path, task_type: str, model: ov.Model, labels: tuple[str, ...], image: Any, found: list[tuple[str, Any]]
) -> None:
    empty = None if task_type.startswith("anomaly") else "Nothing"
    geti_project.write(tmp_path, Task("The task", model, labels, task_type=task_type, empty=empty))
    prediction = await predicted(tmp_path, image)
    assert [" ".join(annotation.label_names) for annotation in prediction.annotations] == [name for name, _ in found]
    for annotation, (_, shape) in zip(prediction.annotations, found, strict=True):
        assert shape in (annotation.shape, type(annotation.shape))
    ids = {label.name: label.id for label in prediction.labels}
    assert ids == {name: geti_project.label_id("The task", name) for name in (*labels, *([empty] if empty else []))}
    told = prediction.to_geti()["annotations"][0]["labels"][0]
    assert told["color"] in geti_project.COLORS
    assert told["id"] == geti_project.label_id("The task", told["name"])


async def test_either_folder_is_taken_and_its_code_is_not_run(tmp_path: Path) -> None:
    geti_project.write(tmp_path, Task("Detection", tiny_models.detector(), NAMES))
    for folder in (tmp_path, tmp_path / "deployment", str(tmp_path)):
        deployment = Deployment.load(folder, config=F32)
        assert deployment.name == "Tiny project"
        async with deployment:
            assert (await deployment.infer(BOX)).label_names == ("cat",)
    assert not compiled_code(tmp_path)


async def test_labels_are_those_of_the_project(tmp_path: Path) -> None:
    geti_project.write(tmp_path, Task("Detection", tiny_models.detector(), NAMES, empty="No object"))
    data = json.loads((tmp_path / "deployment" / "project.json").read_text())
    labels = data["pipeline"]["tasks"][1]["labels"]
    labels[0]["name"] = "Katze"  # renamed since
    labels.reverse()
    geti_project.edit(tmp_path, data)
    prediction = await predicted(tmp_path, BOX)
    assert prediction.label_names == ("Katze",)
    assert [label.name for label in prediction.labels] == ["Katze", "dog", "bird", "No object"]
    empty = (await predicted(tmp_path, plain())).to_geti()["annotations"]
    assert [(one["labels"][0]["name"], one["labels"][0]["probability"]) for one in empty] == [("No object", 0)]


@pytest.mark.parametrize(
    "keywords", [{"labels": ["a"]}, {"model_type": "ssd"}, {"decoder": lambda outputs, frame: None}]
)
def test_what_a_folder_says_itself_cannot_be_given(tmp_path: Path, keywords: dict[str, Any]) -> None:
    geti_project.write(tmp_path, Task("Detection", tiny_models.detector(), NAMES))
    with pytest.raises(LoadError, match=f"{next(iter(keywords))} cannot be given for a Geti deployment.*leave it out"):
        Deployment.load(tmp_path, **keywords)


async def test_parameters_of_one_task_and_of_several(tmp_path: Path) -> None:
    one = geti_project.write(tmp_path / "one", Task("Detection", tiny_models.detector(), NAMES))
    assert len(await predicted(one, BOX, parameters={"confidence_threshold": 0.95})) == 0
    two = geti_project.write(
        tmp_path / "two", Task("Detection", tiny_models.detector(), NAMES), Task("Parts", tiny_models.detector())
    )
    assert len(await predicted(two, BOX)) == 2
    assert len(await predicted(two, BOX, parameters={"Parts": {"confidence_threshold": 0.95}})) == 1
    with pytest.raises(LoadError, match=r"several tasks \(Detection, Parts\).*pass parameters=\{'Detection': "):
        await predicted(two, BOX, parameters={"confidence_threshold": 0.95})


async def test_a_model_that_cannot_be_loaded_closes_those_before_it(tmp_path: Path) -> None:
    geti_project.write(
        tmp_path, Task("Detection", tiny_models.detector(), NAMES), Task("Parts", tiny_models.detector())
    )
    (tmp_path / "deployment" / "Parts" / "model" / "model.xml").write_text("<odd/>")
    deployment, unclosed = Deployment.load(tmp_path), set(infer_queue._unclosed)
    with pytest.raises(LoadError, match=r"Parts/model/model\.xml: OpenVINO cannot read this as a model"):
        await deployment.open()
    assert set(infer_queue._unclosed) == unclosed


async def test_frame_size_is_that_of_the_frames_not_of_the_crops(tmp_path: Path) -> None:
    geti_project.write(
        tmp_path, Task("Detection", tiny_models.detector(), NAMES), Task("Parts", tiny_models.detector())
    )
    assert len(await predicted(tmp_path, BOX, frame_size=(64, 64))) == 2


# where geti-sdk is wrong


async def test_the_decision_of_anomalib_2_is_the_models(tmp_path: Path) -> None:
    """geti-sdk looks for the label "Anomaly" in ``pred_label``, which Anomalib 2 gives as True, and calls every picture normal."""
    geti_project.write(tmp_path, Task("Anomaly", tiny_models.anomalib2(), NORMAL, empty=None))
    assert (await predicted(tmp_path, plain(250, 250, 250))).label_names == ("Anomaly",)
    assert (await predicted(tmp_path, plain(5, 5, 5))).label_names == ("Normal",)


async def test_probabilities_of_anomalous_regions_are_in_0_to_1(tmp_path: Path) -> None:
    """geti-sdk gives the mean of a map in 0–255."""
    geti_project.write(
        tmp_path, Task("Anomaly", tiny_models.anomaly(), NORMAL, task_type="anomaly_segmentation", empty=None)
    )
    prediction = await predicted(tmp_path, picture(red=(8, 4, 40, 36), green=(8, 4, 40, 36)))
    assert prediction.scores.tolist() == pytest.approx([2 / 3 * 230 / 255], abs=1e-2)


async def test_crops_of_the_third_task_are_where_the_second_found_them(tmp_path: Path) -> None:
    """geti-sdk moves what the second task found by the corner of the last crop, whichever crop it was found in."""
    geti_project.write(
        tmp_path,
        Task("Detection", tiny_models.detector(), NAMES),
        Task("Parts", tiny_models.detector(), ("a", "b", "c")),
        Task("Classification", tiny_models.classifier()),
    )
    image = picture(red=(0, 0, 32, 32), green=(32, 32, 64, 64))
    prediction = await predicted(tmp_path, image)
    assert [annotation.label_names for annotation in prediction.annotations] == [
        ("cat",), ("dog",), ("a", "red"), ("b", "green"),
    ]  # fmt: skip
    assert prediction.boxes.tolist() == [[0, 0, 32, 32], [32, 32, 64, 64]] * 2


# shapes in whole pixels


def shaped(**rows: Any) -> Prediction:
    task = PredictionTask.ROTATED_DETECTION if "rotated_boxes" in rows else PredictionTask.KEYPOINT_DETECTION
    return Prediction(
        task=task, size=(600, 600), labels=(Label(name="cat"),), boxes=np.zeros((1, 4), np.float32),
        scores=np.ones(1, np.float32), label_indices=np.zeros(1, np.int32),
        **{name: np.array([row], np.float32) for name, row in rows.items()},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "whole"),
    [
        ((287.5, 179.5, 273, 153, 0), (287, 179, 273, 153, 0)),
        # corners 100,50 150,100 100,150 50,100, of which two have x in common, and two y
        ((100, 100, 70.710678, 70.710678, 45), (100, 100, 70, 70, 45)),
        # corners 160.2,179.8 332.7,280.5 307.8,323.2 135.3,222.5 → 160,180 333,280 308,323 135,223
        ((234, 251.5, 199.7, 49.4, 30.27), (234, 251, 199, 49, 30.0294)),
        ((50, 50, 0, 0, 10), (50, 50, 0, 0, 0)),
    ],
)
def test_rotated_boxes_go_through_whole_corners(row: Any, whole: Any) -> None:
    found = as_in_geti(shaped(rotated_boxes=row)).rotated_boxes
    assert found is not None
    assert found[0].tolist() == pytest.approx(whole, abs=1e-4)


async def test_regions_are_more_than_a_line(tmp_path: Path) -> None:
    """What a line comes within a pixel of is none, as in geti-sdk; the rest may be as small as it is."""
    geti_project.write(tmp_path, Task("Segmentation", tiny_models.segmenter(), NAMES))
    image = picture(red=(10, 10, 30, 12))  # a bar two pixels wide
    image[40:43, 8, 1] = image[40, 8:11, 1] = 230  # a corner one pixel wide
    assert (await predicted(tmp_path, image)).label_names == ("dog",)


def test_keypoints_are_whole() -> None:
    prediction = as_in_geti(shaped(keypoints=(187.5, 100.4, 0.7)))
    assert prediction.annotations[0].shape == Keypoint(188, 100)
    assert prediction.boxes.tolist() == [[188, 100, 188, 100]]


def test_other_shapes_are_left_alone() -> None:
    for prediction in (Prediction.empty(PredictionTask.ROTATED_DETECTION, (4, 4), ["a"]), Prediction.detection((4, 4), ["a"], [(0.5, 0, 1, 1)], [1], [0])):  # fmt: skip
        assert as_in_geti(prediction) is prediction


# explain


async def test_a_stream_is_explained(tmp_path: Path) -> None:
    geti_project.write(tmp_path, Task("Detection", tiny_models.detector(xai=True), NAMES), Task("Parts", tiny_models.detector()))  # fmt: skip
    async with Deployment.load(tmp_path) as deployment:
        async with deployment.stream([BOX, plain()], explain=True) as results:
            predictions = [result.prediction async for result in results]
        assert all(one.feature_vector is not None and one.saliency_maps is not None for one in predictions)
        assert (await deployment.explain(BOX)).feature_vector is not None


async def test_a_stream_that_cannot_be_explained_does_not_begin(tmp_path: Path) -> None:
    geti_project.write(tmp_path, Task("Detection", tiny_models.detector(), NAMES), Task("Parts", tiny_models.detector(xai=True)))  # fmt: skip
    async with Deployment.load(tmp_path) as deployment:
        with pytest.raises(DeploymentError, match=r"Tiny project has neither a `feature_vector`.*export the model"):
            deployment.stream([BOX], explain=True)
        with pytest.raises(DeploymentError, match="neither a `feature_vector`"):
            await deployment.explain(BOX)


async def test_only_a_decoder_knows_whether_it_explains() -> None:
    def decode(outputs: Any, frame: Any) -> Prediction:
        vector = outputs["means"] if frame.index == 0 else None
        return Prediction.classification((frame.height, frame.width), ["a"], [1], [0], feature_vector=vector)

    async with Deployment.load(tiny_models.unknown(), decoder=decode) as deployment:
        explained, unexplained = [result async for result in deployment.stream([BOX, BOX], explain=True)]
    assert explained.prediction.feature_vector is not None
    assert isinstance(unexplained.error, DeploymentError)


# command line


def test_info_tells_tasks_labels_and_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    geti_project.write(
        tmp_path,
        Task("Detection", tiny_models.detector(), NAMES, info={"has_xai_head": True, "precision": ["INT8"]}),
        Task("Classification", tiny_models.classifier()),
    )
    assert main(["info", str(tmp_path)]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:4] == [
        "project    Tiny project",
        "tasks      Detection → Classification",
        "labels     8",
        "           cat, dog, bird, Nothing, red, green, blue, Nothing",
    ]
    at = lines.index("model           Detection")
    assert lines[at + 1 : at + 6] == [
        "trained         Tiny Detection OpenVINO FP16",
        "                INT8, MO, XAI head",
        "task            detection",
        "type            SSD",
        "labels          4",
    ]
    assert "                FP16, MO, no XAI head" in lines[lines.index("model           Classification") :]


def test_info_of_one_task_tells_its_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    geti_project.write(tmp_path, Task("Detection", tiny_models.detector(), NAMES))
    assert main(["info", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("project         Tiny project\nmodel           Detection\n")
    assert main(["info", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["project"], told["trained"]["precision"], told["steps"]) == ("Tiny project", ["FP16"], [])


def test_a_folder_is_run_over_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    geti_project.write(tmp_path / "project", Task("Detection", tiny_models.detector(), NAMES), Task("Parts", tiny_models.detector()))  # fmt: skip
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), BOX[..., ::-1])
    assert main(["run", str(tmp_path / "project"), str(tmp_path / "pictures"), "--list"]) == 0
    shown = capsys.readouterr().out
    assert "0.png: cat 90%, red 90%" in shown
    assert "Tiny project: 3 frames" in shown
