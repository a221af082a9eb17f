"""The real Supervisely SDK asks our server. Run by `nox -s supervisely_sdk`."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import cv2
import fake_supervisely
import pytest
import served
import tiny_models
from aiohttp import web
from gated_model import gated
from sources_fixtures import serve_camera, write_video

from aiohooks import (
    Annotation,
    Label,
    Point,
    Polygon,
    Prediction,
    Rectangle,
    RotatedRectangle,
    ScoredLabel,
    SuperviselyPlatform,
)
from aiohooks.prediction.supervisely.meta import annotation_meta
from aiohooks.server.supervisely.media import id_of

PYTHON = os.environ.get("SUPERVISELY_SDK_PYTHON")
PROGRAM = Path(__file__).with_name("process.py")
FRAMES = 12
BOXES = [["red", {"exterior": [[8, 4], [23, 19]], "interior": []}, 0.902],
         ["green", {"exterior": [[30, 30], [49, 59]], "interior": []}, 0.902]]  # fmt: skip

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not PYTHON, reason="SUPERVISELY_SDK_PYTHON names no interpreter with the SDK: run `nox -s supervisely_sdk`"
    ),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def sdk(do: str, url: str, **job: Any) -> Any:
    """Let the SDK do a job, in a process of its own, while the server here answers."""
    line = json.dumps({"do": do, "url": url, **job})

    def run() -> Any:
        # Isolated: neither PYTHONPATH nor this folder is meant for it.
        done = subprocess.run([str(PYTHON), "-I", str(PROGRAM)], input=line, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return await anyio.to_thread.run_sync(run)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    image = tiny_models.picture(red=(8, 4, 24, 20), green=(30, 30, 50, 60))
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), image[..., ::-1])
    write_video(folder / "v.mp4", FRAMES)
    return folder


@pytest.fixture
async def url(media: Path) -> AsyncIterator[str]:
    async with served.serving(tiny_models.detector(), media=media, allow_url_fetch=["127.0.0.1"]) as server:
        yield server.url


async def test_what_the_session_says_of_the_model(url: str) -> None:
    found = await sdk("about", url)
    assert found["info"]["number_of_classes"] == 3
    assert found["info"]["task type"] == "object detection"
    assert found["info"]["async_video_inference_support"] is True
    assert found["readable"]["App name"] == "aiohooks"
    assert found["classes"] == [["red", "rectangle"], ["green", "rectangle"], ["blue", "rectangle"]]
    assert found["tags"] == [["confidence", "any_number"]]
    assert found["settings"] == {"conf": 0.5, "classes": None}
    assert found["deploy"] == "OpenVINO"


async def test_settings_by_keyword_mapping_and_yaml(url: str, media: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("conf: 0.1\nclasses: null\n")
    found = await sdk("settings", url, path=str(media / "0.png"), yaml=str(file))
    assert found == [2, 0, 1, 2, {"conf": 0.1, "classes": None}]


async def test_pictures_by_path_url_and_id(url: str, media: Path) -> None:
    async def show(response: web.StreamResponse) -> None:
        await response.write((media / "0.png").read_bytes())

    async with serve_camera(show, headers={"Content-Type": "image/png"}) as camera:
        found = await sdk("pictures", url, path=str(media / "0.png"), id=id_of("0.png"), image_url=camera.url)
    assert len(found) == 10
    assert all(each == BOXES for each in found)


RANGES = [
    ({}, list(range(FRAMES))),
    ({"start_frame_index": 3, "frames_count": 4}, [3, 4, 5, 6]),
    ({"start_frame_index": 8, "frames_count": 4, "frames_direction": "backward"}, [8, 7, 6, 5]),
    ({"start_frame_index": 5, "frames_count": 1}, [5]),
    ({"start_frame_index": 9, "frames_count": 100, "frames_direction": "forward"}, [9, 10, 11]),
]


async def test_frames_of_a_video_at_once_and_as_they_come(url: str) -> None:
    found = await sdk("video", url, id=id_of("v.mp4"), ranges=[frames for frames, _ in RANGES])
    assert found == [[len(expected), expected, expected] for _, expected in RANGES]


async def test_annotations_of_a_video(url: str) -> None:
    nothing, bar = await sdk("annotated_video", url, id=id_of("v.mp4"))
    assert nothing == []
    corners = {"exterior": [[0, 0], [11, 63]], "interior": []}  # of the bar that stands for 1
    assert [(name, points) for name, points, _ in bar] == [(name, corners) for name in ("red", "green", "blue")]


async def test_stop(media: Path) -> None:
    deployment, model = gated(is_open=False)
    async with served.serving(deployment, media=media) as server:
        model.gate(0).set()
        assert await sdk("stop", server.url, id=id_of("v.mp4")) == [0, []]
        with anyio.fail_after(5):
            await model.was_cancelled.wait()


async def test_an_error_in_the_model(media: Path) -> None:
    deployment, _ = gated(failing=4)
    async with served.serving(deployment, media=media) as server:
        found, said, seconds = await sdk("failing_video", server.url, id=id_of("v.mp4"))
    assert found == [0, 1, 2, 3]
    assert "InferenceError: the model failed on this input" in said
    assert "secret" not in said
    assert seconds < 5


async def test_mistakes_are_told_at_once(url: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("conf: 0.1\n")
    picture, unknown, late, setting = await sdk("mistakes", url, yaml=str(file), id=id_of("v.mp4"))
    assert "400" in picture
    assert "not a picture that can be read" in picture
    assert "there is no picture of id 5 here" in unknown
    assert "the video has 12 frames" in late
    assert "'iu'" not in setting
    assert "Key 'iou' is not acceptable" in setting


async def test_model_api_on_a_folder_ids_and_videos(url: str, media: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.png").write_bytes((media / f"{index}.png").read_bytes())
    ranges = [
        ({}, list(range(FRAMES))),
        ({"stride": 4}, [0, 4, 8]),
        ({"stride": 3, "direction": "backward", "start_frame": 11}, [11, 8, 5, 2]),
        ({"start_frame": 2, "num_frames": 6, "stride": 2}, [2, 4, 6]),
        ({"direction": "backward"}, list(range(FRAMES))[::-1]),
        ({"duration": 0.2}, [0, 1, 2, 3, 4, 5]),
    ]
    found = await sdk(
        "model_api",
        url,
        folder=str(folder),
        path=str(media / "0.png"),
        id=id_of("0.png"),
        video=str(media / "v.mp4"),
        video_id=id_of("v.mp4"),
        ranges=[frames for frames, _ in ranges],
    )
    assert len(found["info"]) == 12
    assert (found["ready"], found["deployed"], found["tracking"]) == (True, True, {})
    assert found["classes"] == ["red", "green", "blue"]
    boxes = [[4, 8, 19, 23], [30, 30, 59, 49]]
    assert found["folder"] == [[["red", "green"], boxes, [0.902, 0.902]]] * 3
    assert found["filtered"] == [["green"]] * 3
    assert found["ids"] == [id_of("0.png")] * 2
    assert found["videos"] == [[len(expected), expected] for _, expected in ranges]
    length, numbers, is_done, progress = found["by_id"]
    assert (length, numbers, is_done) == (4, [2, 3, 4, 5], True)
    assert (progress["current"], progress["total"]) == (4, 4)


async def test_what_else_there_is(url: str, media: Path) -> None:
    path = str(media / "0.png")
    found = await sdk("rest", url, path=path, id=id_of("0.png"), video_id=id_of("v.mp4"))
    assert found["with_settings"] == 1
    # The SDK takes a total of 1 for a job that has not begun, and would sleep.
    assert found["one"] == [1, 0, [["Downloading Frames", 1]]]
    assert found["shown"] == [[64, 64, 3], [64, 64, 3], [0, 1], path]
    assert (found["stopped"][:2], found["stopped"][3]) == ([0, 1], FRAMES)
    assert found["pretrained"] == [[], []]
    assert "not frozen" in found["frozen"]
    for name, said in {
        "speedtest": "no projects of the platform",
        "project": "no projects of the platform",
        "upload": "does not upload results",
        "upload_mode": "does not upload results",
        "output_project": "does not upload results",
        "tracker": "does not track objects",
        "tracking": "Tracking is not supported",
        "class": "'zebra' is not a class of this model",
        "conf": "expected a number in 0–1, got 3.0",
        "load": "Model yolo not found",
    }.items():
        assert said in found["failed"][name], (name, found["failed"])


MODELS = {
    "image classification": (tiny_models.classifier, set()),
    "oriented object detection": (tiny_models.rotated_detector, {"oriented_bbox"}),
    "instance segmentation": (tiny_models.instance_segmenter, {"bitmap"}),
    "semantic segmentation": (tiny_models.segmenter, {"bitmap"}),
    "pose estimation": (tiny_models.keypoints, {"graph"}),
    "anomaly detection": (tiny_models.anomaly, None),
}


@pytest.mark.parametrize("task", MODELS)
async def test_predictions_of_every_task_are_annotations(task: str, tmp_path: Path) -> None:
    make, kinds = MODELS[task]
    image = tiny_models.picture(red=(8, 4, 40, 30), green=(10, 32, 60, 60), value=220)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image[..., ::-1])
    async with served.serving(make()) as server:
        near = await server.deployment.infer(image)
        far = await sdk("geometries", server.url, path=str(path))
    if kinds is not None:
        assert {kind for _, kind, _ in far["labels"]} == kinds
    if task == "image classification":
        assert [name for name, _ in far["tags"]] == list(near.label_names)
    elif near.masks is not None:
        assert [area for _, _, area in far["labels"]] == near.masks.sum(axis=(1, 2)).tolist()
    elif near.label_map is not None:
        assert [area for _, _, area in far["labels"]] == [
            int((near.label_map == index + 1).sum())
            for index in range(len(near.labels))
            if (near.label_map == index + 1).any()
        ]
    assert far["labels"] or far["tags"]


async def test_a_session_by_the_id_of_its_task(url: str, media: Path) -> None:
    async with fake_supervisely.serving() as platform:
        platform.sessions = {5: url}
        job = {"platform": platform.url, "token": fake_supervisely.TOKEN, "task": 5, "path": str(media / "0.png")}
        assert await sdk("by_task", url, **job) == ["aiohooks", BOXES]


async def test_we_upload_what_the_sdk_uploads(media: Path) -> None:
    labels = (Label(name="cat", color="#00ff00ff"), Label(name="dog"))
    prediction = Prediction.from_annotations(
        [
            Annotation(Rectangle(4, 1, 16, 30), (ScoredLabel(labels[0], 0.5),)),
            Annotation(Polygon((Point(3, 4), Point(20, 5), Point(9, 30))), (ScoredLabel(labels[1], 0.75),)),
            Annotation(RotatedRectangle(90, 20, 15, 16, 6), (ScoredLabel(labels[0], 1),)),
        ],
        size=(64, 64),
        labels=labels,
    )
    annotation = prediction.to_supervisely()["annotation"]
    path = media / "0.png"
    async with fake_supervisely.serving() as fake:
        job = {"platform": fake.url, "token": fake_supervisely.TOKEN, "path": str(path)}
        theirs = await sdk("upload", "", **job, annotation=annotation, meta=annotation_meta([annotation], labels))
        async with SuperviselyPlatform(fake.url, api_token=fake_supervisely.TOKEN) as platform:
            [ours] = await platform.upload([(path, prediction)], workspace_id=7, project="ours", dataset="dataset")
        # The classes are others: those of its own project. The SDK says of each object that no model made it.
        left_out = ("classId", "nnCreated", "nnUpdated")
        by_them, by_us = (
            [
                {key: value for key, value in item.items() if key not in left_out}
                for item in fake.annotations[each]["objects"]
            ]
            for each in (theirs, ours.id)
        )
        assert by_us == by_them
