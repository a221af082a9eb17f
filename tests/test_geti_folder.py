"""Reading a Geti deployment folder: pipelines, labels, model facts, and every way in which it can be wrong."""

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import geti_project
import pytest
import tiny_models
from geti_project import Task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiohooks.annotation import Label
from aiohooks.errors import LoadError
from aiohooks.inference.geti_folder import in_order, read_project, tiling_parameters, trained_model
from aiohooks.inference.loaded_model import TrainedModel

PLACE = Path("project.json")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    return geti_project.write(
        folder,
        Task("Detection", tiny_models.detector(), ("cat", "dog", "big bird"), info={"has_xai_head": True}),
        Task("Classification", tiny_models.classifier(), ("a", "b", "c"), info={"precision": ["INT8"]}),
    )


@pytest.fixture
def folder(chain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chain, tmp_path / "copy"))


@pytest.mark.parametrize("inside", ["", "deployment"])
def test_a_project_is_read(chain: Path, inside: str) -> None:
    project = read_project(chain / inside)
    assert (project.id, project.name) == ("p-1", "Tiny project")
    detection, classification = project.tasks
    assert (detection.title, detection.task_type) == ("Detection", "detection")
    assert detection.labels[2] == Label(
        name="big bird", id="Detection/big-bird", color="#a0645aff", group="Detection labels"
    )
    assert [label.name for label in detection.labels if label.is_empty] == ["Nothing"]
    assert detection.model == TrainedModel("Tiny Detection OpenVINO FP16", ("FP16",), "MO", has_xai_head=True)
    assert classification.model.precision == ("INT8",)
    assert classification.model_file == chain / "deployment" / "Classification" / "model" / "model.xml"


def test_what_is_not_needed_may_be_missing_or_odd(folder: Path) -> None:
    deployment = folder / "deployment"
    for name in ("Detection/model.json", "Detection/model/config.json", "Detection/hyper_parameters.json"):
        (deployment / name).unlink()
    shutil.rmtree(deployment / "Detection" / "python")
    data = json.loads((deployment / "project.json").read_text())
    labels = data["pipeline"]["tasks"][1]["labels"]
    labels[0] = {"name": "cat", "color": None, "surprise": [1]}
    labels[1] |= {"color": "no colour", "id": 7, "is_empty": "yes"}
    labels.insert(0, "not a label")
    geti_project.edit(folder, {"pipeline": data["pipeline"], "name": None, "id": 5, "performance": "?"})
    project = read_project(folder)
    assert (project.id, project.name) == ("", "copy")
    cat, dog = project.tasks[0].labels[:2]
    assert cat == Label(name="cat")
    assert (dog.color, dog.id, dog.is_empty) == ("no colour", "", False)
    assert project.tasks[0].model == TrainedModel()
    assert project.tasks[0].parameters == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: shutil.rmtree(d), r"neither a project\.json nor a deployment/project\.json.*pass the folder"),
        (lambda d: (d / "project.json").write_text("{"), r"project\.json: cannot be read as JSON"),
        (lambda d: (d / "project.json").write_bytes(b"\xff\xfe"), r"project\.json: cannot be read as JSON"),
        (lambda d: (d / "project.json").write_text("[]"), r"project\.json: expected an object, got list"),
        (lambda d: (d / "project.json").write_text("[" * 100_000), r"project\.json: cannot be read as JSON"),
        (lambda d: shutil.rmtree(d / "Detection"), r"Detection: there is no such folder, which task 'Detection'"),
        (
            lambda d: (d / "Detection/model/model.xml").unlink(),
            r"model\.xml: there is no such file, which task 'Detection'",
        ),
        (lambda d: (d / "Detection/model/model.bin").unlink(), r"model\.bin: there is no such file.*download"),
        (lambda d: (d / "Detection/model.json").write_text("?"), r"model\.json: cannot be read as JSON"),
        (lambda d: (d / "Detection/model/config.json").write_text("?"), r"config\.json: cannot be read as JSON"),
    ],
)
def test_what_is_missing_or_broken_is_named(folder: Path, change: Any, message: str) -> None:
    change(folder / "deployment")
    with pytest.raises(LoadError, match=f"(?s){message}"):
        read_project(folder)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"task_type": "sorcery"}, r"task 'Detection' is of unknown task_type 'sorcery'; known are .*detection"),
        ({"labels": []}, "task 'Detection' has no labels"),
        ({"labels": None}, "task 'Detection' has no labels"),
        ({"title": ""}, "a task has no title"),
        ({"title": "../outside"}, "leads out of the deployment folder"),
        ({"title": "/etc"}, "leads out of the deployment folder"),
        ({"title": "."}, "leads out of the deployment folder"),
        ({"title": "Detection/../.."}, "leads out of the deployment folder"),
        ({"title": "linked"}, "leads out of the deployment folder"),
        ({"title": "a\0b"}, "cannot name a folder|no such folder"),
    ],
)
def test_a_wrong_task_is_named(folder: Path, task: dict[str, Any], message: str) -> None:
    (folder / "deployment" / "linked").symlink_to(folder.parent)
    data = json.loads((folder / "deployment" / "project.json").read_text())
    data["pipeline"]["tasks"][1] |= task
    geti_project.edit(folder, data)
    with pytest.raises(LoadError, match=message):
        read_project(folder)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (None, "pipeline: expected an object, got NoneType"),
        ({"tasks": {}}, r"pipeline\.tasks: expected a list of tasks, got dict"),
        ({"tasks": ["x"]}, r"pipeline\.tasks\[0\]: expected an object, got str"),
        ({"tasks": []}, "no task of the pipeline has a model"),
        ({"tasks": [{"title": "Dataset", "task_type": "dataset"}]}, "no task of the pipeline has a model"),
    ],
)
def test_a_wrong_pipeline_is_named(folder: Path, pipeline: Any, message: str) -> None:
    geti_project.edit(folder, {"pipeline": pipeline})
    with pytest.raises(LoadError, match=message):
        read_project(folder)


def test_any_json_is_read_or_refused(folder: Path) -> None:
    data = (folder / "deployment" / "project.json").read_text()
    keys = sorted(set(re.findall(r'"(\w+)":', data)))
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from([*keys, "Detection", "detection", "t-0", "crop"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=5),
        max_leaves=12,
    )

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    @given(values, st.sampled_from(["project.json", "Detection/model.json", "Detection/model/config.json"]))
    def check(value: Any, file: str) -> None:
        path = folder / "deployment" / file
        before = path.read_text()
        path.write_text(json.dumps(value))
        with contextlib.suppress(LoadError):
            read_project(folder)
        path.write_text(before)

    check()


# the order of tasks


def tasks(*names: str) -> list[dict[str, Any]]:
    return [{"id": f"id-{name}", "title": name} for name in names]


def connected(*pairs: str) -> list[dict[str, str]]:
    return [{"from": f"id-{one}", "to": f"id-{other}"} for one, other in pairs]


@given(st.permutations("abcde"), st.permutations(range(4)))
def test_the_connections_say_the_order(listed: list[str], shuffled: list[int]) -> None:
    pairs = ["ab", "bc", "cd", "de"]
    found = in_order(tasks(*listed), connected(*(pairs[i] for i in shuffled)), PLACE)
    assert [task["title"] for task in found] == list("abcde")


@pytest.mark.parametrize(
    "connections",
    [None, [], "odd", [7, {}], connected("ba"), [{"from": "x", "to": "y"}], connected("ba", "xc")],
)
def test_without_connections_of_all_tasks_they_stay_as_listed(connections: object) -> None:
    assert [task["title"] for task in in_order(tasks("a", "b", "c"), connections, PLACE)] == ["a", "b", "c"]


def test_connections_may_name_titles() -> None:
    connections = [{"from": "b", "to": "a"}, {"from_": "b", "to": "a"}]
    assert [task["title"] for task in in_order(tasks("a", "b"), connections, PLACE)] == ["b", "a"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("ab", "ac"), r"branch at 'a'"),
        (("ab", "cb"), r"branch at 'c'"),
        (("ab", "bc", "ca"), r"go in a circle"),
        (("ab", "ba"), r"go in a circle"),
        (("aa",), r"go in a circle"),
    ],
)
def test_other_than_chains_are_refused(pairs: tuple[str, ...], message: str) -> None:
    with pytest.raises(LoadError, match=f"project.json: pipeline.connections {message}"):
        in_order(tasks("a", "b", "c"), connected(*pairs), PLACE)


# facts of a model


def test_legacy_tiling_becomes_parameters(caplog: pytest.LogCaptureFixture) -> None:
    tiling = {
        "enable_tiling": True,
        "tile_size": {"value": 400},
        "tile_overlap": {"value": 0.25},
        "tile_max_number": {"value": 1500},
        "tile_ir_scale_factor": {"value": 2.0},
    }
    expected = {"tile_size": 800, "tiles_overlap": 0.125, "max_pred_number": 1500}
    assert tiling_parameters({"tiling_parameters": tiling}) == expected
    for config in (None, {}, {"tiling_parameters": None}, {"tiling_parameters": tiling | {"enable_tiling": False}}):
        assert tiling_parameters(config) == {}
    assert not caplog.records
    del tiling["tile_overlap"]
    assert tiling_parameters({"tiling_parameters": tiling}).keys() == expected.keys()
    assert "tile_overlap" in caplog.text


@pytest.mark.parametrize("data", [None, [], {"precision": "FP32", "name": 3, "has_xai_head": "true"}])
def test_odd_facts_are_left_out(data: object) -> None:
    assert trained_model(data) == TrainedModel()
