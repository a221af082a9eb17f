"""What we save, the real geti-sdk loads, hooks and all, and predicts as we do; what it saves, we load. Run by `nox -s geti_sdk`."""

import json
import math
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import geti_project
import numpy as np
import openvino as ov
import pytest
import tiny_models
from geti_project import Task
from tiny_blocks import RGB
from tiny_models import picture, plain

from aiohooks import (
    AlwaysTrigger,
    ConfidenceTrigger,
    Deployment,
    EmptyLabelTrigger,
    FileSystemDataCollection,
    HttpRequestAction,
    LabelTrigger,
    LogAction,
    ObjectCountTrigger,
    PostInferenceHook,
    Rate,
)

PYTHON = os.environ.get("GETI_SDK_PYTHON")
PROGRAM = Path(__file__).with_name("process.py")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not PYTHON, reason="GETI_SDK_PYTHON names no interpreter with geti-sdk: run `nox -s geti_sdk`"),
]

F32 = {"INFERENCE_PRECISION_HINT": "f32"}
PICTURES = {
    "two": picture(red=(8, 4, 40, 30), green=(10, 32, 60, 60), value=220),
    "wide": picture((90, 160), blue=(30, 20, 120, 70), red=(5, 5, 25, 40), value=200),
    "one": picture(green=(20, 10, 50, 58), value=210),
    "dim": plain(red=160, green=70, blue=90),
    "dark": plain(red=9, green=5, blue=2),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def geti_sdk(**job: Any) -> Any:
    """Let geti-sdk do a job, in a process of its own."""
    assert PYTHON is not None
    # Isolated: neither PYTHONPATH nor this folder is meant for it.
    done = subprocess.run([PYTHON, "-I", str(PROGRAM)], input=json.dumps(job), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    for name, image in PICTURES.items():
        np.save(tmp_path / f"{name}.npy", image)
    return [str(tmp_path / f"{name}.npy") for name in PICTURES]


async def saved(model: ov.Model, folder: Path, *hooks: PostInferenceHook) -> Path:
    """Save a model, and hooks with it, as a Geti deployment."""
    async with Deployment.load(model) as deployment:
        for hook in hooks:
            deployment.add_hook(hook)
        return (await deployment.save(folder)).parent


async def predictions(folder: Path, names: Sequence[str] = tuple(PICTURES)) -> list[dict[str, Any]]:
    async with Deployment.load(folder, config=F32, hooks=False) as deployment:
        return [(await deployment.infer(PICTURES[name])).to_geti() for name in names]


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Check that predictions are the same: labels and geometry exactly, probabilities to 1e-3."""
    for mine, other in zip(ours, theirs, strict=True):
        found, expected = mine["annotations"], list(filter(means_something, other["annotations"]))
        assert [shape(each) for each in found] == [shape(each) for each in expected]
        assert [names(each) for each in found] == [names(each) for each in expected]
        assert probabilities(found) == pytest.approx(probabilities(expected), abs=1e-3)


def means_something(annotation: dict[str, Any]) -> bool:
    """Leave out what geti-sdk writes for nothing: an annotation without labels, a point that the model did not find."""
    place = annotation["shape"]
    nowhere = place["type"] == "KEYPOINT" and math.copysign(1, place["x"]) < 0
    return bool(annotation["labels"]) and not nowhere


def shape(annotation: dict[str, Any]) -> Any:
    return annotation["shape"]


def names(annotation: dict[str, Any]) -> list[str]:
    return [label["name"] for label in annotation["labels"]]


def probabilities(annotations: list[dict[str, Any]]) -> list[float]:
    return [label["probability"] for annotation in annotations for label in annotation["labels"]]


SINGLE: dict[str, Callable[[], ov.Model]] = {
    "classification": tiny_models.classifier,
    "multi-label classification": tiny_models.multi_label,
    "hierarchical classification": tiny_models.hierarchical,
    "detection": tiny_models.detector,
    "rotated detection": tiny_models.rotated_detector,
    "instance segmentation": tiny_models.instance_segmenter,
    "segmentation": tiny_models.segmenter,
    "anomaly": tiny_models.anomaly,
    "keypoints": tiny_models.keypoints,
}


@pytest.mark.parametrize("kind", SINGLE)
async def test_geti_sdk_predicts_the_same_with_what_we_saved(kind: str, tmp_path: Path, pictures: list[str]) -> None:
    folder = await saved(SINGLE[kind](), tmp_path / "saved")
    answer = geti_sdk(predict={"folder": str(folder), "pictures": pictures})
    same(await predictions(folder), answer["predictions"])


CHAINS: dict[str, list[Callable[..., ov.Model]]] = {
    "detect → classify": [tiny_models.detector, tiny_models.classifier],
    "detect → segment": [tiny_models.detector, tiny_models.segmenter],
    "detect → segment objects → classify": [
        tiny_models.detector,
        tiny_models.instance_segmenter,
        tiny_models.classifier,
    ],
}


@pytest.mark.parametrize("kind", CHAINS)
async def test_chains_too(kind: str, tmp_path: Path, pictures: list[str]) -> None:
    tasks = [Task(f"{number} {make.__name__}", make(), RGB) for number, make in enumerate(CHAINS[kind], 1)]
    made = geti_project.write(tmp_path / "made", *tasks)
    await Deployment.load(made).save(tmp_path / "saved")
    # Of three tasks, geti-sdk takes all that the second finds for parts of the last object of the first. It also gives a
    # crop's labels to the first object of that shape, so that the second task must find other shapes than the first.
    names = tuple(PICTURES) if len(CHAINS[kind]) == 2 else ("one", "dim", "dark")
    answer = geti_sdk(predict={
        "folder": str(tmp_path / "saved"), "pictures": [path for path in pictures if Path(path).stem in names]
    })  # fmt: skip
    ours = await predictions(tmp_path / "saved", names)
    same(ours, answer["predictions"])
    assert max(len(annotation["labels"]) for each in ours for annotation in each["annotations"]) == 1 + (
        "classify" in kind
    )


def hooks(folder: Path) -> list[PostInferenceHook]:
    """Hooks of every kind that geti-sdk can have; the first is the only one that fires."""
    keep = FileSystemDataCollection(folder / "kept", "first_", log_level="info")
    send = HttpRequestAction("http://127.0.0.1:9/", "POST", {"X-Site": "1"}, include_prediction_data=True)
    return [
        PostInferenceHook(
            trigger=LabelTrigger(["red", "green", "blue"]), action=keep, max_concurrency=2, max_pending=7
        ),
        PostInferenceHook(trigger=LabelTrigger(["red", "green"], "AND"), action=send, rate=Rate(1, per=3)),
        PostInferenceHook(trigger=ConfidenceTrigger(0.0), action=send, rate=Rate(30)),
        PostInferenceHook(trigger=ConfidenceTrigger(0.2, ["red"]), action=send),
        PostInferenceHook(trigger=ObjectCountTrigger(5), action=HttpRequestAction("http://127.0.0.1:9/", "PUT")),
        PostInferenceHook(trigger=ObjectCountTrigger(3, ["red"], "equal"), action=send),
        PostInferenceHook(trigger=EmptyLabelTrigger(), action=FileSystemDataCollection(folder / "kept", "empty_")),
    ]


async def test_geti_sdk_has_the_hooks_that_we_saved(tmp_path: Path, pictures: list[str]) -> None:
    ours = hooks(tmp_path)
    beyond = PostInferenceHook(trigger=~AlwaysTrigger(), action=LogAction())
    folder = await saved(tiny_models.classifier(), tmp_path / "saved", beyond, *ours)
    answer = geti_sdk(predict={"folder": str(folder), "pictures": pictures})
    assert len(answer["hooks"]) == len(ours)
    assert sorted(path.name[:9] for path in (tmp_path / "kept/images").iterdir()) == [
        f"first_{name}"[:9] for name in sorted(PICTURES)
    ]
    # What geti-sdk would save is what we read.
    (folder / "deployment/aiohooks.json").unlink()
    (folder / "deployment/hook_config.json").write_text(json.dumps({"post_inference_hooks": answer["hooks"]}))
    assert [running.hook for running in Deployment.load(folder).hooks] == ours


async def test_we_load_what_geti_sdk_saved(tmp_path: Path, pictures: list[str]) -> None:
    folder = await saved(tiny_models.detector(), tmp_path / "saved")
    keep = {"FileSystemDataCollection": {"target_folder": str(tmp_path / "kept")}}
    config = [
        {"trigger": {"AlwaysTrigger": {}}, "action": keep, "max_threads": 0},
        {"trigger": {"ConfidenceTrigger": {}}, "action": {"HttpRequestAction": {"url": "http://127.0.0.1:9/"}}},
        {
            "trigger": {"ObjectCountTrigger": {"mode": "Lower"}},
            "action": keep,
            "max_threads": 3,
            "limit_action_rate": True,
            "max_frames_per_second": 0.5,
            "queue_limit": 20,
        },
    ]
    geti_sdk(save={"folder": str(folder), "hooks": config, "to": str(tmp_path / "theirs")})
    loaded = Deployment.load(tmp_path / "theirs")
    stored = FileSystemDataCollection(tmp_path / "kept")
    assert [running.hook for running in loaded.hooks] == [
        PostInferenceHook(trigger=AlwaysTrigger(), action=stored, max_concurrency=1, max_pending=1),
        PostInferenceHook(trigger=ConfidenceTrigger(), action=HttpRequestAction("http://127.0.0.1:9/")),
        PostInferenceHook(
            trigger=ObjectCountTrigger(mode="lower"),
            action=stored,
            max_concurrency=3,
            max_pending=20,
            rate=Rate(1, per=2.0),
        ),
    ]
    same(await predictions(tmp_path / "theirs"), await predictions(folder))
