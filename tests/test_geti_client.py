"""The client of Geti against a fake one over real sockets, which refuses whatever is not documented."""

import asyncio
import json
import logging
import shutil
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import geti_project
import numpy as np
import pytest
import tiny_models
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from fake_geti import TOKEN, FakeGeti, Trouble, serving, zipped

from aiohooks import AlwaysTrigger, Deployment, LogAction, PostInferenceHook, save_hooks
from aiohooks.annotation import Annotation, Label, Rectangle, ScoredLabel
from aiohooks.backoff import Backoff
from aiohooks.clients.geti import Dataset, GetiClient, Project, workspace_access
from aiohooks.errors import LoadError, RemoteError, SessionError, SpecError
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG some pixels"
PACKAGE = {
    "deployment/project.json": '{"pipeline": {}}',
    "deployment/Detection task/model/model.xml": "<net/>",
    "README": "x",
}
UNAVAILABLE = Trouble("status", 503)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_access, "Backoff", partial(Backoff, 0.002, 0.02))


@pytest.fixture
async def geti() -> AsyncIterator[FakeGeti]:
    async with serving() as fake:
        yield fake


@pytest.fixture
async def client(geti: FakeGeti) -> AsyncIterator[GetiClient]:
    async with GetiClient(geti.url, token=TOKEN, timeout=5, connect_timeout=5) as opened:
        yield opened


@pytest.fixture
async def animals(geti: FakeGeti, client: GetiClient) -> Project:
    return await client.project(geti.add_project("animals"))


@pytest.fixture
async def dataset(geti: FakeGeti, client: GetiClient, animals: Project) -> Dataset:
    return await client.dataset(animals)


def first(times: int, trouble: Trouble, where: str = "") -> Callable[[web.Request], Trouble | None]:
    """Trouble for the first requests whose line holds a text."""
    left = times

    def decide(request: web.Request) -> Trouble | None:
        nonlocal left
        if left and where in f"{request.method} {request.path}":
            left -= 1
            return trouble
        return None

    return decide


def asked(geti: FakeGeti, what: str) -> int:
    return sum(what in line for line in geti.seen)


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


async def test_the_servers_versions(client: GetiClient) -> None:
    info = await client.product_info()
    assert (info.product_version, info.build_version) == ("2.13.0", "2.13.0.1")


async def test_organisation_and_workspace_are_asked_for_once(geti: FakeGeti, client: GetiClient) -> None:
    id_ = geti.add_project("animals")
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.project, id_)
    assert asked(geti, "personal_access_tokens") == 1
    assert sum(line.endswith("/workspaces") for line in geti.seen) == 1


async def test_the_workspace_is_the_only_one_or_the_one_that_is_named(geti: FakeGeti) -> None:
    geti.add_project("animals")
    geti.workspaces = [{"id": "ws1", "name": "a"}]
    async with GetiClient(geti.url, token=TOKEN) as client:
        assert (await client.project("animals")).name == "animals"
    geti.workspaces = {"workspaces": [{"id": "ws0", "name": "a"}, {"id": "ws1", "name": "b"}]}
    async with GetiClient(geti.url, token=TOKEN) as client:
        with pytest.raises(
            SessionError, match=r"several workspaces or none; workspace_id is one of: ws0 \(a\), ws1 \(b\)"
        ):
            await client.project("animals")
    before = len(geti.seen)
    async with GetiClient(geti.url, token=TOKEN, workspace_id="ws1") as client:
        assert (await client.project("animals")).name == "animals"
    assert not any(line.endswith("/workspaces") for line in geti.seen[before:])
    geti.organization = {"organizations": []}
    async with GetiClient(geti.url, token=TOKEN) as client:
        with pytest.raises(SessionError, match="belongs to no organization"):
            await client.project("animals")


async def test_projects_come_page_by_page(geti: FakeGeti, client: GetiClient) -> None:
    for i in range(120):
        geti.add_project(f"project {i}")
    assert [project.name async for project in client.projects()] == [f"project {i}" for i in range(120)]
    assert asked(geti, "projects?limit=50") == 3


async def test_a_project_is_found_by_name_or_id(geti: FakeGeti, client: GetiClient) -> None:
    first_id, second_id, third_id = geti.add_project("twins"), geti.add_project("twins"), geti.add_project("ä/b?")
    assert (await client.project("ä/b?")).id == third_id
    project = await client.project(second_id)
    assert (project.id, project.name, len(project.labels), [task.task_type for task in project.tasks]) == (
        second_id, "twins", 3, ["detection"],
    )  # fmt: skip
    with pytest.raises(SessionError, match=f"2 projects are called 'twins'; choose by id: {first_id}, {second_id}"):
        await client.project("twins")
    with pytest.raises(SessionError, match=r"has no project '\.\./x'"):
        await client.project("../x")


async def test_models_of_a_chain_and_the_choice_among_their_forms(geti: FakeGeti, client: GetiClient) -> None:
    id_ = geti.add_project("chain", tasks=("detection", "classification"))
    project = await client.project(id_)
    forms = (("MO", "FP16", False), ("MO", "FP16", True), ("POT", "INT8", False), ("ONNX", "FP32", False))
    detector = geti.add_model(id_, 0, optimized=forms)
    geti.add_model(id_, 0, active=False, created="2026-01-01T00:00:00Z")
    with pytest.raises(SessionError, match="project 'chain': the task 'Classification task' has no trained model yet"):
        await client.choose_models(project)
    classifier = geti.add_model(id_, 1)
    models = await client.models(project)
    assert [model and (model.id, model.is_active) for model in models.values()] == [
        (detector, True),
        (classifier, True),
    ]
    chosen = await client.choose_models(project)
    assert [(model.optimization_type, model.has_xai_head) for model in chosen] == [("POT", False), ("MO", False)]
    assert all(model.model_group_id for model in chosen)
    chosen = await client.choose_models(project, xai=True, precision="FP16")
    assert [(model.optimization_type, model.has_xai_head) for model in chosen] == [("MO", True), ("MO", True)]
    with pytest.raises(
        SessionError, match="task 'Classification task': the model Net has no form that is optimised INT8"
    ):
        await client.choose_models(project, precision="INT8")


@pytest.fixture
async def deployable(geti: FakeGeti, client: GetiClient) -> Project:
    id_ = geti.add_project("animals", tasks=("detection", "classification"))
    geti.add_model(id_, 0)
    geti.add_model(id_, 1)
    geti.packages[id_] = zipped(PACKAGE)
    return await client.project(id_)


async def test_a_deployment_is_downloaded_as_a_folder(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path
) -> None:
    progress: list[tuple[str, int, int]] = []
    path = await client.download_deployment("animals", tmp_path / "new", progress=lambda *args: progress.append(args))
    assert path == tmp_path / "new/deployment"
    assert (path / "project.json").read_text() == PACKAGE["deployment/project.json"]
    assert (path / "Detection task/model/model.xml").read_text() == "<net/>"
    assert list((tmp_path / "new").iterdir()) == [path]
    size = len(geti.packages[deployable.id])
    assert (progress[0], progress[-1]) == (("deployment of animals", 0, size), ("deployment of animals", size, size))

    (path / "mine").touch()
    with pytest.raises(SessionError, match="is there already: name another folder, or replace=True"):
        await client.download_deployment(deployable, tmp_path / "new")
    assert (path / "mine").exists()
    models = await client.choose_models(deployable, xai=True)
    assert await client.download_deployment(deployable, tmp_path / "new", models=models, replace=True) == path
    assert not (path / "mine").exists()
    assert list((tmp_path / "new").iterdir()) == [path]


async def test_only_a_deployment_is_replaced(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path
) -> None:
    mine = tmp_path / "deployment"
    mine.mkdir()
    (mine / "precious").touch()
    with pytest.raises(SessionError, match="deployment is there already and no deployment: name another"):
        await client.download_deployment(deployable, tmp_path, replace=True)
    assert not asked(geti, "deployment_package")
    assert below(tmp_path) == ["deployment", "deployment/precious"]
    (mine / "precious").unlink()
    assert await client.download_deployment(deployable, tmp_path) == mine
    assert (mine / "project.json").exists()
    shutil.rmtree(mine)
    mine.touch()
    with pytest.raises(SessionError, match="is there already and no deployment"):
        await client.download_deployment(deployable, tmp_path, replace=True)
    assert below(tmp_path) == ["deployment"]
    with pytest.raises(SessionError, match=r"deployment cannot be written: .*too long"):
        await client.download_deployment(deployable, tmp_path / ("a" * 300))


@pytest.mark.parametrize("replace", [False, True])
async def test_what_takes_the_place_during_a_download_stays(
    client: GetiClient, deployable: Project, tmp_path: Path, replace: bool
) -> None:
    def take(_: str, received: int, total: int) -> None:
        if received == total:
            (tmp_path / "deployment").mkdir()
            (tmp_path / "deployment/precious").touch()

    with pytest.raises(SessionError, match="is there already"):
        await client.download_deployment(deployable, tmp_path, replace=replace, progress=take)
    assert below(tmp_path) == ["deployment", "deployment/precious"]


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        ({"deployment/project.json": "{}", "../../evil": "x"}, "the name '../../evil' is empty, absolute or leads out"),
        ({"deployment/project.json": "{}", "/evil": "x"}, "the name '/evil'"),
        ({"something/else": "x"}, "it has no deployment/project.json"),
        ({"deployment/project.json": "{}", "bomb": "0" * 100_000}, "it holds more than 2000 bytes"),
    ],
)
async def test_what_is_no_safe_deployment_leaves_nothing(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path, package: Any, problem: str
) -> None:
    geti.packages[deployable.id] = zipped(package)
    with pytest.raises(SessionError, match=f"package:download: the archive cannot be unpacked: .*{problem}"):
        await client.download_deployment(deployable, tmp_path / "a" / "b", max_bytes=2000)
    assert below(tmp_path) == ["a", "a/b"]


async def test_a_download_that_is_too_large_or_not_a_zip(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path
) -> None:
    with pytest.raises(SessionError, match="package:download is larger than 100 bytes: not downloaded"):
        await client.download_deployment(deployable, tmp_path, max_bytes=100)
    geti.packages[deployable.id] = b"<html>please log in</html>"
    with pytest.raises(SessionError, match="it is damaged: BadZipFile"):
        await client.download_deployment(deployable, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SessionError, match=r"file/deployment cannot be written: .*(Not a directory|File exists)"):
        await client.download_deployment(deployable, tmp_path / "file")
    assert below(tmp_path) == ["file"]


async def test_a_download_that_cannot_be_put_in_place_leaves_the_old_one(
    client: GetiClient, deployable: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deployment").mkdir()
    (tmp_path / "deployment/project.json").touch()
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.parent.name == "unpacked":
            raise OSError("no space left")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(SessionError, match="deployment cannot be written: no space left"):
        await client.download_deployment(deployable, tmp_path, replace=True)
    assert below(tmp_path) == ["deployment", "deployment/project.json"]


async def test_a_full_disk_ends_a_download(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(anyio.AsyncFile, "write", fail)
    with pytest.raises(SessionError, match="cannot be written: no space left"):
        await client.download_deployment(deployable, tmp_path)
    assert asked(geti, "deployment_package") == 1
    assert below(tmp_path) == []


async def test_a_download_that_breaks_begins_again(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, breaks = geti._act, 2

    async def half(request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal breaks
        answer = await act(request, body)
        if breaks and "deployment_package" in request.path:
            breaks -= 1
            assert isinstance(answer, web.Response)
            broken = web.StreamResponse(headers={"content-length": str(answer.content_length)})
            await broken.prepare(request)
            await broken.write(geti.packages[deployable.id][:100])
            assert request.transport is not None
            request.transport.close()
            return broken
        return answer

    monkeypatch.setattr(geti, "_act", half)
    path = await client.download_deployment(deployable, tmp_path)
    assert (path / "project.json").exists()
    assert asked(geti, "deployment_package") == 3


async def test_a_download_that_is_cancelled_leaves_nothing(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path
) -> None:
    geti.trouble = first(1, Trouble("wait"), "deployment_package")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(client.download_deployment, deployable, tmp_path / "new"))
        while not asked(geti, "deployment_package"):
            geti.arrived = anyio.Event()
            await geti.arrived.wait()
        tasks.cancel_scope.cancel()
    assert below(tmp_path) == ["new"]


async def test_a_deployment_comes_straight_from_the_server(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, scratch = tmp_path / "made", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    geti_project.write(
        made,
        geti_project.Task("Detection", tiny_models.detector(), ("cat", "dog", "fox")),
        geti_project.Task("Classification", tiny_models.classifier()),
    )
    files = [path for path in made.rglob("*") if path.is_file()]
    geti.packages[deployable.id] = zipped({str(path.relative_to(made)): path.read_bytes() for path in files})

    deployment = await Deployment.from_geti(client, "animals", drain_timeout=3)
    assert deployment.drain_timeout == 3
    assert len([name for name in below(scratch) if name.endswith("deployment/project.json")]) == 1
    async with deployment:
        prediction = await deployment.infer(np.full((64, 64, 3), (200, 20, 20), np.uint8))
        assert {"cat", "red"} <= set(prediction.label_names)
    assert below(scratch) == []

    with pytest.raises(SessionError, match="no project 'plants'"):
        await Deployment.from_geti(client, "plants")
    with pytest.raises(TypeError):
        await Deployment.from_geti(client, "animals", no_such_argument=1)
    geti.packages[deployable.id] = zipped(PACKAGE)
    with pytest.raises(LoadError, match="expected a list of tasks"):
        await Deployment.from_geti(client, "animals")
    assert below(scratch) == []

    geti.packages[deployable.id] = zipped({str(path.relative_to(made)): path.read_bytes() for path in files})
    deployment = await Deployment.from_geti(client, "animals", tmp_path / "kept", xai=True)
    await deployment.aclose()
    assert "deployment/project.json" in below(tmp_path / "kept")


async def test_a_download_whose_model_or_hooks_are_bad(
    geti: FakeGeti, client: GetiClient, deployable: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, scratch = tmp_path / "made", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    geti_project.write(made, geti_project.Task("Colours", tiny_models.classifier()))
    (made / "deployment/Colours/model/model.xml").write_text("<net/>")
    save_hooks(made / "deployment/aiohooks.json", [PostInferenceHook(trigger=AlwaysTrigger(), action=LogAction())])
    files = [path for path in made.rglob("*") if path.is_file()]
    geti.packages[deployable.id] = zipped({str(path.relative_to(made)): path.read_bytes() for path in files})

    deployment = await Deployment.from_geti(client, "animals")
    assert deployment.hooks == ()  # whoever made the package would have them send what they like
    with pytest.raises(LoadError, match="cannot read this as a model"):
        await deployment.__aenter__()
    assert below(scratch) == []
    deployment = await Deployment.from_geti(client, "animals", hooks=True)
    assert len(deployment.hooks) == 1
    await deployment.aclose()


async def test_datasets(geti: FakeGeti, client: GetiClient, animals: Project) -> None:
    other = await client.create_dataset(animals, "other")
    assert other.project_id == animals.id
    assert [dataset.name for dataset in await client.datasets(animals)] == ["Dataset", "other"]
    assert (await client.dataset(animals)).use_for_training
    assert await client.dataset(animals, "other") == await client.dataset(animals, other.id) == other
    assert await client.ensure_dataset(animals, "other") == other
    assert (await client.ensure_dataset(animals)).name == "Dataset"
    with pytest.raises(SessionError, match="project 'animals' has no dataset 'third'"):
        await client.dataset(animals, "third")
    with pytest.raises(RemoteError, match="answered 409: dataset exists") as caught:
        await client.create_dataset(animals, "other")
    assert caught.value.status == 409
    with pytest.raises(SpecError, match="needs a name"):
        await client.create_dataset(animals, "")
    geti.datasets[animals.id] = []
    with pytest.raises(SessionError, match="no dataset that it trains with"):
        await client.dataset(animals)


async def test_a_dataset_that_many_want_is_made_once(geti: FakeGeti, client: GetiClient, animals: Project) -> None:
    found: list[str] = []

    async def ensure() -> None:
        found.append((await client.ensure_dataset(animals, "new")).id)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ensure)
    assert len(found) == 20
    assert set(found) == {geti.datasets[animals.id][1]["id"]}
    assert sum(line.startswith("POST") for line in geti.seen) == 1


@pytest.mark.parametrize("kind", ["reset", "drop", "status"])
@pytest.mark.parametrize("afterwards", [True, False])
async def test_a_dataset_whose_answer_is_lost_is_not_made_twice(
    geti: FakeGeti, client: GetiClient, animals: Project, kind: str, afterwards: bool
) -> None:
    geti.trouble = first(2, Trouble(kind, 502, afterwards=afterwards), "POST")
    dataset = await client.create_dataset(animals, "new")
    assert [one["id"] for one in geti.datasets[animals.id]][1:] == [dataset.id]
    assert sum(line.startswith("POST") for line in geti.seen) == (1 if afterwards else 3)


async def test_a_dataset_that_another_program_makes_meanwhile_is_taken(
    geti: FakeGeti, client: GetiClient, animals: Project
) -> None:
    def trouble(request: web.Request) -> None:
        if request.method == "POST":
            geti.add_dataset(animals.id, "new")

    geti.trouble = trouble
    assert (await client.ensure_dataset(animals, "new")).id == geti.datasets[animals.id][1]["id"]
    geti.trouble = first(1, Trouble("status", 403), "POST")
    with pytest.raises(RemoteError, match="answered 403"):
        await client.ensure_dataset(animals, "newer")


async def test_pictures_come_page_by_page(geti: FakeGeti, client: GetiClient, dataset: Dataset) -> None:
    geti.page_size = 7
    for i in range(20):
        geti.add_picture(dataset.project_id, dataset.id, f"picture {i}", PNG)
    pictures = [picture async for picture in client.pictures(dataset)]
    assert [picture.name for picture in pictures] == [f"picture {i}" for i in range(20)]
    assert {(picture.project_id, picture.dataset_id) for picture in pictures} == {(dataset.project_id, dataset.id)}
    assert asked(geti, "media:query") == 3
    async for picture in client.pictures(dataset):
        assert picture.name == "picture 0"
        break
    assert asked(geti, "media:query") == 4


@pytest.mark.parametrize("page", ["https://127.0.0.1:1/api/v1/x", "//evil/api/v1/x", "/elsewhere", "/api/v1/../../x"])
async def test_a_next_page_elsewhere_is_not_asked_for(
    geti: FakeGeti, client: GetiClient, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    geti.add_picture(dataset.project_id, dataset.id, "one", PNG)
    answer = {"media": geti.pictures[dataset.id], "total_matched_images": 2, "next_page": page}
    geti.trouble = first(1, Trouble("status", 200, body=json.dumps(answer)), "media:query")
    with pytest.raises(SessionError, match="the address of the next page is not followed"):
        [picture async for picture in client.pictures(dataset)]
    assert geti.seen[-1].endswith("media:query?limit=100")


async def test_an_endless_list_ends(geti: FakeGeti, client: GetiClient, dataset: Dataset) -> None:
    geti.trouble = lambda request: (
        Trouble("status", 200, body=json.dumps({"media": [], "next_page": request.path_qs}))
        if "query" in request.path
        else None
    )
    assert [picture async for picture in client.pictures(dataset)] == []


async def test_a_picture_is_uploaded_found_downloaded_and_annotated(
    geti: FakeGeti, client: GetiClient, animals: Project, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "dögs (1).PNG").write_bytes(PNG)
    uploaded = await client.upload_picture(dataset, tmp_path / "dögs (1).PNG")
    assert uploaded.name == "dögs (1)"
    assert await client.picture_bytes(uploaded) == PNG
    with pytest.raises(SessionError, match=r"picture 'dögs \(1\)' is larger than 5 bytes"):
        await client.picture_bytes(uploaded, max_bytes=5)
    second = await client.upload_picture(dataset, b"\xff\xd8\xff jpeg", '../a\r\nX: "b".jpg')
    assert second.name == "_._a__X_ _b_"

    prediction = Prediction.detection((48, 64), ["cat", "dog"], [[4, 5, 99, 40]], [0.75], ["dog"])
    assert await client.annotate(animals, uploaded, prediction)
    assert geti.annotations[uploaded.id] == [
        {
            "labels": [{"probability": 0.75, "name": "dog", "color": "#00ff00ff", "id": "label-dog"}],
            "shape": {"x": 4, "y": 5, "width": 60, "height": 35, "type": "RECTANGLE"},
        }
    ]
    cat = Annotation(Rectangle(0, 0, 64, 48), (ScoredLabel(Label(name="cat"), 1.0),))
    assert await client.annotate(animals, uploaded, [cat])
    assert geti.annotations[uploaded.id][0]["labels"][0]["id"] == "label-cat"
    assert await client.annotate(animals, uploaded, [], size=(48, 64))
    assert geti.annotations[uploaded.id][0]["labels"][0]["id"] == "label-none"
    bird = Annotation(Rectangle(0, 0, 1, 1), (ScoredLabel(Label(name="bird"), 1.0),))
    with pytest.raises(
        SessionError, match="project 'animals': it has no label 'bird'; its labels are: No object, cat, dog"
    ):
        await client.annotate(animals, uploaded, [bird])


async def test_without_an_empty_label_nothing_is_nothing_to_upload(geti: FakeGeti, client: GetiClient) -> None:
    project = await client.project(geti.add_project("dogs", labels=("dog",)))
    picture = await client.upload_picture(await client.dataset(project), PNG, "a.png")
    assert not await client.annotate(project, picture, [])
    with pytest.raises(SessionError, match="its size is not known"):
        await client.annotate(project, type(picture)("1", project_id="p", dataset_id="d"), [])
    assert asked(geti, "annotations") == 0


@pytest.mark.parametrize("name", ["a.webp", "a", "", "png", ".png.gif"])
async def test_a_picture_that_geti_does_not_take_is_not_sent(client: GetiClient, dataset: Dataset, name: str) -> None:
    with pytest.raises(SpecError, match=r"Geti takes no picture called .*; its name must end in \.bmp, \.jpeg"):
        await client.upload_picture(dataset, PNG, name)


async def test_a_megabyte_is_sent_without_a_warning(geti: FakeGeti, client: GetiClient, dataset: Dataset) -> None:
    content = PNG + bytes(3_000_000)
    picture = await client.upload_picture(dataset, content, "a.png")
    assert geti.contents[picture.id] == content


async def test_all_pictures_of_a_dataset_are_saved(
    geti: FakeGeti, client: GetiClient, dataset: Dataset, tmp_path: Path
) -> None:
    geti.page_size = 3
    for i, name in enumerate(["a", "a", "../../b", "/etc/c", "é", "f"]):
        geti.add_picture(dataset.project_id, dataset.id, name, b"%d" % i)
    geti.trouble = first(3, UNAVAILABLE, "display/full")
    progress: list[tuple[str, int, int]] = []
    folder = tmp_path / "in" / "here"
    assert await client.download_pictures(dataset, folder, progress=lambda *args: progress.append(args)) == 6
    names = sorted(path.name for path in folder.iterdir())
    assert [name.rpartition("_")[0] for name in names] == ["_._.._b", "_etc_c", "a", "a", "f", "é"]
    assert {path.read_bytes() for path in folder.iterdir()} == {b"%d" % i for i in range(6)}
    assert len(below(tmp_path)) == 2 + 6
    assert progress[-1] == ("pictures of Dataset", 6, 6)
    before = asked(geti, "display/full")
    assert await client.download_pictures(dataset, folder, concurrency=1) == 6
    assert asked(geti, "display/full") == before


async def test_a_folder_may_be_filled_twice_at_once(
    geti: FakeGeti, client: GetiClient, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geti.add_picture(dataset.project_id, dataset.id, "a", PNG)
    geti.add_picture(dataset.project_id, dataset.id, "b", PNG)
    act, both = geti._act, anyio.Event()

    async def late(request: web.Request, body: bytes) -> web.StreamResponse:
        answer = await act(request, body)
        if "display/full" not in request.path:
            return answer
        halves = web.StreamResponse(headers={"content-length": str(len(PNG))})
        await halves.prepare(request)
        await halves.write(PNG[:4])
        if asked(geti, "display/full") == 4:
            both.set()
        await both.wait()
        await halves.write(PNG[4:])
        return halves

    monkeypatch.setattr(geti, "_act", late)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.download_pictures, dataset, tmp_path)
        tasks.start_soon(client.download_pictures, dataset, tmp_path)
    names = below(tmp_path)
    assert [name[:2] + name[-4:] for name in names] == ["a_.jpg", "b_.jpg"]
    assert [(tmp_path / name).read_bytes() for name in names] == [PNG, PNG]


async def test_a_picture_that_cannot_be_had_fails_alone_and_leaves_no_half_file(
    geti: FakeGeti, client: GetiClient, dataset: Dataset, tmp_path: Path
) -> None:
    for i in range(30):
        geti.add_picture(dataset.project_id, dataset.id, f"{i}", b"x")
    del geti.contents[geti.pictures[dataset.id][2]["id"]]
    with pytest.raises(RemoteError, match=r"display/full: the server answered 404: image\d+ was not found"):
        await client.download_pictures(dataset, tmp_path)
    assert [name for name in below(tmp_path) if not name.endswith(".jpg")] == []


async def test_other_calls_can_be_made(geti: FakeGeti, client: GetiClient, animals: Project) -> None:
    assert (await client.request("GET", f"projects/{animals.id}", dict))["name"] == "animals"
    assert json.loads(await client.request("GET", f"projects/{animals.id}/datasets", bytes))["datasets"]


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (400, "answered 400: trouble 400$"),
        (401, "does not accept the token: it is wrong or has expired. It comes from the argument `token`"),
        (403, "answered 403: trouble 403: the token does not permit this"),
        (404, "answered 404: trouble 404: there is no such thing"),
        (413, "answered 413: trouble 413: it is larger than the server takes"),
        (500, "answered 500: trouble 500$"),
    ],
)
async def test_an_error_that_stays_is_told_at_once(
    geti: FakeGeti, client: GetiClient, status: int, problem: str
) -> None:
    geti.trouble = lambda _: Trouble("status", status)
    with pytest.raises(RemoteError, match=f"GET {geti.url}/api/v1/product_info: the server .*{problem}") as caught:
        await client.product_info()
    assert caught.value.status == status
    assert len(geti.seen) == 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_an_error_that_passes_is_waited_for(geti: FakeGeti, client: GetiClient, status: int) -> None:
    geti.trouble = first(5, Trouble("status", status))
    await client.product_info()
    assert len(geti.seen) == 6


@pytest.mark.parametrize("kind", ["reset", "drop"])
async def test_a_connection_that_breaks_is_made_again(
    geti: FakeGeti, client: GetiClient, dataset: Dataset, kind: str
) -> None:
    geti.trouble = first(3, Trouble(kind))
    assert (await client.upload_picture(dataset, PNG, "a.png")).name == "a"
    geti.trouble = first(1, Trouble(kind, afterwards=True))
    await client.upload_picture(dataset, PNG, "b.png")
    assert [picture["name"] for picture in geti.pictures[dataset.id]] == ["a", "b", "b"]  # as documented: at least once


async def test_a_call_that_must_not_be_made_twice_is_repeated_only_if_the_server_refused_it(
    geti: FakeGeti, client: GetiClient, animals: Project
) -> None:
    call = partial(client.request, "POST", f"projects/{animals.id}/datasets", Dataset, json={"name": "a"})
    for trouble, problem in [(Trouble("reset"), "the connection failed"), (Trouble("status", 502), "answered 502")]:
        geti.trouble = first(1, trouble, "POST")
        before = len(geti.seen)
        with pytest.raises(SessionError, match=problem):
            await call()
        assert len(geti.seen) == before + 1
    geti.trouble = first(2, UNAVAILABLE, "POST")
    assert (await call()).name == "a"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were asked for; none is waited for."""
    asked_for: list[float] = []

    async def sleep(seconds: float) -> None:
        asked_for.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr("aiohooks.clients.geti.connection.anyio.sleep", sleep)
    return asked_for


async def test_the_server_says_how_long_to_wait(geti: FakeGeti, client: GetiClient, pauses: list[float]) -> None:
    geti.trouble = first(1, Trouble("status", 429, {"Retry-After": "3"}))
    await client.product_info()
    geti.trouble = first(1, Trouble("status", 503, {"Retry-After": "Fri, 31 Jan 2020 12:00:00 GMT"}))
    await client.product_info()
    assert pauses[0] == 3
    assert pauses[1] < 0.01


async def test_a_server_that_asks_for_more_patience_than_there_is_gets_none(
    geti: FakeGeti, client: GetiClient, pauses: list[float]
) -> None:
    geti.trouble = lambda _: Trouble("status", 429, {"Retry-After": "6"})
    with pytest.raises(RemoteError, match="answered 429") as caught:
        await client.product_info()
    assert (caught.value.status, len(geti.seen), pauses) == (429, 1, [])


async def test_patience_ends(geti: FakeGeti) -> None:
    geti.trouble = lambda _: UNAVAILABLE
    async with GetiClient(geti.url, token=TOKEN, timeout=0.2) as client:
        with (
            anyio.fail_after(20),
            pytest.raises(RemoteError, match=r"answered 503: trouble 503 \(after \d+ retries in") as caught,
        ):
            await client.product_info()
    assert caught.value.status == 503
    assert len(geti.seen) > 3


async def test_a_server_that_is_silent_is_given_up(geti: FakeGeti) -> None:
    geti.trouble = lambda _: Trouble("wait")
    async with GetiClient(geti.url, token=TOKEN, timeout=0.1) as client:
        with (
            anyio.fail_after(20),
            pytest.raises(SessionError, match=r"product_info: no answer within 0\.1 s|connection failed"),
        ):
            await client.product_info()


async def test_a_server_that_cannot_be_reached(unused_port: int) -> None:
    async with GetiClient(f"http://127.0.0.1:{unused_port}", token=TOKEN, connect_timeout=0.1) as client:
        with (
            anyio.fail_after(20),
            pytest.raises(
                SessionError, match=r"cannot be reached: .*127\.0\.0\.1.*is the host right.*after \d+ retries"
            ),
        ):
            await client.product_info()


@pytest.fixture
async def unused_port() -> int:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        return int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        ("<html>log in", "text/html", "the answer is a web page; is http://.* a Geti server"),
        ("{", "application/json", "malformed answer: Input data was truncated"),
        ("[1]", "application/json", "malformed answer: Expected `object`, got `array`"),
        (
            '{"product-version": 3}',
            "application/json",
            r"malformed answer: Expected `str`, got `int` - at `\$.product-version`",
        ),
        ("", "application/json", "malformed answer"),
    ],
)
async def test_what_is_no_answer_of_geti(
    geti: FakeGeti, client: GetiClient, body: str, content_type: str, problem: str
) -> None:
    geti.trouble = lambda _: Trouble("status", 200, body=body, content_type=content_type)
    with pytest.raises(SessionError, match=f"GET http://.*/product_info: {problem}"):
        await client.product_info()
    assert len(geti.seen) == 1


async def test_a_web_page_is_no_picture_and_no_success(
    geti: FakeGeti, client: GetiClient, animals: Project, dataset: Dataset, tmp_path: Path
) -> None:
    picture = await client.upload_picture(dataset, PNG, "a.png")
    geti.trouble = lambda request: (
        Trouble("status", 200, body="<html>log in", content_type="text/html") if picture.id in request.path else None
    )
    for call in (
        partial(client.picture_bytes, picture),
        partial(client.download_pictures, dataset, tmp_path),
        partial(client.annotate, animals, picture, []),
    ):
        with pytest.raises(SessionError, match="the answer is a web page"):
            await call()
    assert below(tmp_path) == []


async def test_what_does_not_even_speak_http() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with GetiClient(f"http://127.0.0.1:{port}", token=TOKEN) as client:
            with pytest.raises(SessionError, match=r"malformed answer: .*is it a Geti server\?"):
                await client.product_info()


async def test_an_endless_answer_is_cut_off(
    geti: FakeGeti, client: GetiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(request: web.Request, _body: bytes) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 4096)

    with monkeypatch.context() as patch, anyio.fail_after(20):
        patch.setattr("aiohooks.clients.geti.connection.MAX_JSON_BYTES", 100_000)
        patch.setattr(geti, "_act", endless)
        with pytest.raises(SessionError, match="the answer is longer than 100000 bytes"):
            await client.product_info()
    geti.trouble = lambda _: Trouble("status", 400, body="long\n\x1b[2J" * 10_000, content_type="text/plain")
    with pytest.raises(RemoteError) as caught:
        await client.product_info()
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_token_follows_no_redirect(geti: FakeGeti, client: GetiClient, status: int) -> None:
    got: list[Any] = []

    async def elsewhere(request: web.BaseRequest) -> web.Response:
        got.append(dict(request.headers))
        return web.json_response({})

    async with RawTestServer(elsewhere) as other:
        geti.trouble = lambda _: Trouble("status", status, {"Location": str(other.make_url("/api/v1/product_info"))})
        with pytest.raises(RemoteError, match=f"answered {status}: a redirect, which is not followed"):
            await client.product_info()
    assert got == []


async def test_connections_are_reused_and_never_more_than_allowed(geti: FakeGeti) -> None:
    async with GetiClient(geti.url, token=TOKEN, max_connections=3) as client:
        for _ in range(5):
            await client.product_info()
        assert len(geti.connections) == 1
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(client.product_info)
    assert len(geti.seen) == 65
    assert geti.most_open == 3
    assert len(geti.connections) == 3


async def chain_of(call: Callable[[], Awaitable[object]]) -> BaseException:
    with pytest.raises(SessionError) as caught:
        await call()
    return caught.value


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("reset"), Trouble("status", 401, body=f"bad key {TOKEN}"), Trouble("status", 302, {"Location": f"/?{TOKEN}"}),
        Trouble("status", 200, body=f'{{"product-version": {TOKEN}'), Trouble("status", 500, body=json.dumps({"message": TOKEN})),
    ],
)  # fmt: skip
async def test_the_token_is_shown_nowhere(
    geti: FakeGeti, trouble: Trouble, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    geti.trouble = lambda _: trouble
    async with GetiClient(geti.url, token_variable="MY_TOKEN", timeout=0.05) as client:
        said = [repr(client), str(vars(client))]
        error: BaseException | None = await chain_of(client.product_info)
        said.append(repr(vars(client)))
    while error is not None:
        said += [
            str(error),
            repr(error),
            repr(error.args),
            repr(vars(error)),
            "".join(traceback.format_exception(error)),
        ]
        assert error.__context__ is None
        error = error.__cause__
    assert all(TOKEN not in text for text in said)
    assert TOKEN not in caplog.text
    assert "MY_TOKEN" in said[0]


async def test_without_host_or_token_the_first_call_says_so(monkeypatch: pytest.MonkeyPatch, geti: FakeGeti) -> None:
    for name in ("GETI_HOST", "GETI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with GetiClient() as client:
        assert "host of GETI_HOST" in repr(client)
        with pytest.raises(SpecError, match="set the environment variable GETI_HOST"):
            await client.product_info()
        monkeypatch.setenv("GETI_HOST", geti.url)
        with pytest.raises(SpecError, match="the environment variable GETI_TOKEN is not set"):
            await client.product_info()
        monkeypatch.setenv("GETI_TOKEN", TOKEN)
        assert (await client.product_info()).product_version == "2.13.0"


async def test_a_client_of_the_environment_or_of_a_file(
    geti: FakeGeti, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GETI_HOST", geti.url)
    monkeypatch.setenv("GETI_TOKEN", TOKEN)
    async with GetiClient.from_environment(timeout=3) as client:
        await client.product_info()
    monkeypatch.setenv("GETI_HTTPS_PROXY", "http://127.0.0.1:1")
    async with GetiClient(connect_timeout=0.1) as client:
        await client.product_info()  # over http, a proxy could read the token
    monkeypatch.setenv("GETI_HOST", "https://elsewhere")
    (tmp_path / ".env").write_text(f"HOST={geti.url}\nTOKEN={TOKEN}\n")
    async with GetiClient.from_environment(tmp_path / ".env") as client:
        await client.product_info()
    assert TOKEN not in repr(client)


async def test_a_client_is_used_in_async_with(geti: FakeGeti) -> None:
    client = GetiClient(geti.url, token=TOKEN)
    with pytest.raises(SessionError, match="is not open: use it in `async with`"):
        await client.product_info()
    async with client:
        with pytest.raises(SessionError, match="is open already"):
            await client.__aenter__()
        await client.product_info()
    with pytest.raises(SessionError, match="is not open"):
        await client.product_info()
    async with client:
        await client.product_info()


@pytest.mark.parametrize(
    "arguments",
    [{"timeout": 0}, {"connect_timeout": float("nan")}, {"max_connections": 0}, {"host": "ftp://x"}, {"token": ""}],
)
async def test_wrong_arguments_are_refused_where_they_are_given(arguments: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        GetiClient(**arguments)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=geti", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


async def test_a_certificate_that_nobody_vouches_for_is_refused_unless_told_otherwise(
    certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serving(context) as geti:
        async with GetiClient(geti.url, token=TOKEN) as client:
            with pytest.raises(SessionError, match=r"its certificate cannot be verified: .*self.signed.*SSL_CERT_FILE"):
                await client.product_info()
        assert geti.seen == []
        assert "is not verified" not in caplog.text
        async with GetiClient(geti.url, token=TOKEN, verify_certificate=False) as client:
            assert (await client.product_info()).product_version
        assert f"the certificate of {geti.url} is not verified" in caplog.text


async def test_what_speaks_no_tls_and_what_is_no_address(geti: FakeGeti) -> None:
    async with GetiClient(geti.url.replace("http:", "https:"), token=TOKEN) as client:
        with pytest.raises(SessionError, match="no encrypted connection"):
            await client.product_info()
    async with GetiClient("geti.invalid", token=TOKEN, proxy="http://me:hunter2@[") as client:
        with pytest.raises(SessionError, match="the address of the server or of the proxy is not valid") as caught:
            await client.product_info()
    assert "hunter2" not in str(caught.value)


async def test_a_proxy_is_asked_to_connect_and_its_password_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lines: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with GetiClient("geti.invalid", token=TOKEN, proxy=f"http://me:hunter2@127.0.0.1:{port}") as client:
            with pytest.raises(SessionError, match="the proxy answered 407") as caught:
                await client.product_info()
            assert "hunter2" not in f"{caught.value!r} {client!r} {caplog.text}"
    assert lines[0].startswith(b"CONNECT geti.invalid:443 ")
    assert TOKEN.encode() not in b"".join(lines)
