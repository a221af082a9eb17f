"""Supervisely's platform: sessions by the id of their task, and uploads to a project; against a fake of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import fake_supervisely
import numpy as np
import prediction_strategies as strategies
import pytest
import served
import supervisely_stub
import tiny_models
from aiohttp import web
from fake_supervisely import TOKEN, Platform
from hypothesis import given, settings

from aiohooks import (
    Frame,
    Label,
    Prediction,
    RemoteError,
    Session,
    SessionError,
    SpecError,
    SuperviselyPlatform,
    Task,
)
from aiohooks.backoff import Backoff
from aiohooks.clients.session.project_json import merged_meta, platform_annotation
from aiohooks.prediction.supervisely.meta import annotation_meta

pytestmark = pytest.mark.anyio

QUICK = Backoff(first=0.001, most=0.01)
LABELS = (Label(name="cat", color="#00ff00ff"), Label(name="dog"))
SIZE = (64, 64)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def fake() -> AsyncIterator[Platform]:
    async with fake_supervisely.serving() as platform:
        yield platform


def to(fake: Platform, **options: Any) -> SuperviselyPlatform:
    return SuperviselyPlatform(fake.url, api_token=TOKEN, backoff=QUICK, **options)


def pictures(folder: Path, count: int) -> list[tuple[Path, Prediction]]:
    made = []
    for index in range(count):
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), tiny_models.plain(red=index)[..., ::-1])
        boxes = [[index, 4, 30, 20], [5, 5, 9, 9]]
        made.append((path, Prediction.detection(SIZE, LABELS, boxes, [0.5, 0.75], ["cat", "dog"])))
    return made


async def test_predictions_become_annotations_of_a_project(fake: Platform, tmp_path: Path) -> None:
    async with to(fake) as platform:
        uploaded = await platform.upload(pictures(tmp_path, 3), workspace_id=7, project="animals", dataset="new")
    assert [each.name for each in uploaded] == ["0.png", "1.png", "2.png"]
    [project] = fake.projects.values()
    assert (project["name"], project["workspaceId"]) == ("animals", 7)
    assert [each["name"] for each in fake.datasets.values()] == ["new"]
    meta = fake.metas[project["id"]]
    assert [meta["classes"][0][key] for key in ("title", "shape", "color")] == ["cat", "rectangle", "#00FF00"]
    for index, image in enumerate(uploaded):
        assert fake.files[fake.images[image.id]["hash"]] == (tmp_path / f"{index}.png").read_bytes()
        cat, dog = fake.annotations[image.id]["objects"]
        assert cat["points"]["exterior"] == [[index, 4], [30, 20]]  # between pixels, as the platform has them
        assert cat["classId"] == meta["classes"][0]["id"]
        assert dog["tags"] == [{"name": "confidence", "value": 0.75}]


async def test_what_is_there_already_is_not_made_or_sent_again(fake: Platform, tmp_path: Path) -> None:
    made = pictures(tmp_path, 2)
    async with to(fake) as platform:
        await platform.upload(made, workspace_id=7, project="animals", dataset="one")
        fake.asked.clear()
        again = await platform.upload(made, workspace_id=7, project="animals", dataset="one", names=["a.png", "b.png"])
    assert [each.name for each in again] == ["a.png", "b.png"]
    assert len(fake.projects) == len(fake.datasets) == 1
    assert "images.bulk.upload" not in fake.asked
    assert "projects.meta.update" not in fake.asked


async def test_an_older_platform_does_not_tell_the_meta(fake: Platform, tmp_path: Path) -> None:
    fake.updates_tell_the_meta = False
    async with to(fake) as platform:
        assert len(await platform.upload(pictures(tmp_path, 1), workspace_id=7, project="a", dataset="b")) == 1


async def test_frames_bytes_and_pixels_are_uploaded_in_parts(fake: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohooks.clients.session.platform.BATCH", 2)
    image = tiny_models.plain(red=200)
    nothing = Prediction.empty(Task.DETECTION, SIZE, LABELS)

    async def source() -> AsyncIterator[tuple[Any, Prediction]]:
        yield Frame(image, "same.png"), nothing
        yield Frame(image, "same.png"), nothing
        yield image, nothing
        yield served.png(red=3), nothing
        yield served.png(red=3), nothing

    async with to(fake) as platform:
        uploaded = await platform.upload(source(), workspace_id=7, project="a", dataset="b")
    assert [each.name for each in uploaded] == ["same.png", "same_2.png", "picture 2", "picture 3", "picture 4"]
    assert len(fake.files) == 2
    assert fake.asked.count("images.bulk.add") == 3


@pytest.mark.parametrize("task", ["classification", "masks", "keypoints", "rotated"])
async def test_every_kind_of_prediction_can_be_uploaded(fake: Platform, task: str) -> None:
    one = {"size": SIZE, "labels": LABELS, "scores": np.ones(1, np.float32), "label_indices": np.zeros(1, np.int32)}
    box = np.array([[4, 4, 20, 10]], np.float32)
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, 4:10, 4:20] = 1
    prediction = {
        "classification": lambda: Prediction.classification(SIZE, LABELS, [1], ["cat"]),
        "masks": lambda: Prediction(task=Task.INSTANCE_SEGMENTATION, boxes=box, masks=mask, **one),
        "keypoints": lambda: Prediction(
            task=Task.KEYPOINT_DETECTION, boxes=box, keypoints=np.array([[3, 4, 1]], np.float32), **one
        ),
        "rotated": lambda: Prediction(
            task=Task.ROTATED_DETECTION, boxes=box, rotated_boxes=np.array([[20, 20, 8, 4, 90]], np.float32), **one
        ),
    }[task]()
    async with to(fake) as platform:
        [image] = await platform.upload([(served.png(red=1), prediction)], workspace_id=7, project="a", dataset="b")
    annotation = fake.annotations[image.id]
    if task == "classification":
        assert annotation["tags"] == [{"name": "cat", "value": 1.0}]
    elif task == "keypoints":
        assert annotation["objects"][0]["nodes"] == {"cat": {"loc": [3.5, 4.5]}}
    elif task == "rotated":
        assert annotation["objects"][0]["points"] == [[16, 18], [24, 22]]
    else:
        assert annotation["objects"][0]["bitmap"]["origin"] == [4, 4]


async def test_what_the_platform_says_is_told(fake: Platform, tmp_path: Path) -> None:
    made = pictures(tmp_path, 1)
    async with to(fake) as platform:
        await platform.upload(made, workspace_id=7, project="a", dataset="b")
        with pytest.raises(RemoteError, match=r"answered 400: Image 0\.png already exists"):
            await platform.upload(made, workspace_id=7, project="a", dataset="b")
        with pytest.raises(SessionError, match="did not take 'picture 0'"):
            await platform.upload([(b"no picture", made[0][1])], workspace_id=7, project="a", dataset="c")
        fake.refuse = lambda method: web.Response(status=403) if method == "datasets.add" else None
        with pytest.raises(RemoteError, match=r"datasets\.add at http://127.* answered 403"):
            await platform.upload(made, workspace_id=7, project="a", dataset="d")
        fake.refuse = lambda method: web.json_response([]) if method == "projects.list" else None
        with pytest.raises(
            SessionError, match=r"projects\.list: malformed answer: answer: expected an object, got list"
        ):
            await platform.upload(made, workspace_id=7, project="a", dataset="d")
    with pytest.raises(SessionError, match="use it in `async with`"):
        await platform.session_address(1)
    async with SuperviselyPlatform(fake.url, api_token="wrong", backoff=QUICK) as platform:
        with pytest.raises(RemoteError, match="answered 401") as raised:
            await platform.session_address(1)
        assert "wrong" not in str(raised.value) + repr(platform)


async def test_a_session_by_the_id_of_its_task(fake: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_ADDRESS", fake.url)
    monkeypatch.setenv("API_TOKEN", TOKEN)
    async with supervisely_stub.serving() as stub:
        fake.sessions = {5: stub.url, 6: ""}
        async with Session.of_task(5, settings={"conf": 0.25}) as session:
            assert session.settings == {"conf": 0.25}
            picture = tiny_models.picture(red=(8, 4, 24, 20))
            assert (await session.infer(picture)).label_names == ("red",)
            assert fake_supervisely.SESSION_TOKEN not in repr(session)
            assert TOKEN not in repr(session)
        assert set(stub.api_tokens) == {TOKEN}
        with pytest.raises(SessionError, match="task 6 has no session"):
            await Session.of_task(6).open()
        with pytest.raises(RemoteError, match=r"tasks\.info at .* answered 404: Task not found"):
            await Session.of_task(7).open()


def test_a_platform_needs_an_address_and_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVER_ADDRESS", raising=False)
    monkeypatch.delenv("API_TOKEN", raising=False)
    with pytest.raises(SpecError, match="set SERVER_ADDRESS"):
        Session.of_task(1)
    with pytest.raises(SpecError, match="environment variable API_TOKEN is not set"):
        SuperviselyPlatform("https://app.example")
    with pytest.raises(SpecError, match="give one of them"):
        SuperviselyPlatform("https://app.example", api_token="a", api_token_env="B")
    with pytest.raises(SpecError, match="cannot be sent"):
        SuperviselyPlatform("https://app.example", api_token="a\nb")


def test_classes_of_other_shapes_take_any_and_other_tags_are_refused() -> None:
    cat = {"id": 4, "title": "cat", "shape": "polygon", "color": "#000000"}
    any_dog = {"id": 5, "title": "dog", "shape": "any", "color": "#000000"}
    needed = annotation_meta(
        [Prediction.detection(SIZE, LABELS, [[0, 0, 1, 1]] * 2, [1, 1], ["cat", "dog"]).to_supervisely()["annotation"]]
    )
    merged = merged_meta({"classes": [cat, any_dog], "tags": [], "projectSettings": {"x": 1}}, needed)
    assert merged["classes"] == [{**cat, "shape": "any"}, any_dog]
    assert merged["projectSettings"] == {"x": 1}
    with pytest.raises(SpecError, match="the tag 'confidence' of the project has values of the kind any_string"):
        merged_meta({"tags": [{"name": "confidence", "value_type": "any_string"}]}, needed)
    annotation = {"objects": [{"classTitle": "cow"}], "tags": []}
    with pytest.raises(SpecError, match="the project has no class 'cow'"):
        platform_annotation(annotation, merged)


@settings(max_examples=50)
@given(strategies.predictions())
def test_any_prediction_fits_the_meta_that_it_needs(prediction: Prediction) -> None:
    annotation = prediction.to_supervisely()["annotation"]
    meta = merged_meta({}, annotation_meta([annotation], prediction.labels))
    written = platform_annotation(annotation, meta)
    assert len(written["objects"]) == len(annotation["objects"])
    names = {tag["name"] for tag in meta["tags"]}
    assert {tag["name"] for item in [written, *written["objects"]] for tag in item["tags"]} <= names
