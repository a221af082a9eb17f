"""Hooks travel with a deployment: they are attached where its folder is loaded, and saved with it."""

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import geti_project
import msgspec
import pytest
import tiny_models
from cli_fixtures import write_picture
from installed_package import installed
from tiny_models import plain

from aiohooks import (
    AlwaysTrigger,
    ConfidenceTrigger,
    Deployment,
    FileSystemDataCollection,
    GetiDataCollection,
    LabelTrigger,
    LogAction,
    PostInferenceHook,
    Rate,
    SpecError,
    save_hooks,
)
from aiohooks.cli import main

pytestmark = pytest.mark.anyio

RED, GREEN = plain(red=255), plain(green=255)
TOKEN = "hunter22"
COLLECT = {"GetiDataCollection": {
    "session": {"host": "https://geti.invalid", "token": TOKEN, "has_valid_certificate": True, "proxies": None},
    "workspace_id": "1", "project": "Dogs", "dataset": "New", "log_level": "debug",
}}  # fmt: skip


def geti_hook(action: Any, trigger: Any = None, **settings: Any) -> dict[str, Any]:
    return {"PostInferenceHook": {"trigger": trigger or {"AlwaysTrigger": {}}, "action": action} | settings}


def geti_config(folder: Path, *hooks: Any) -> None:
    """Write hooks as geti-sdk does."""
    (folder / "deployment/hook_config.json").write_text(json.dumps({"post_inference_hooks": hooks}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployment of a classifier of colours."""
    task = geti_project.Task("Colours", tiny_models.classifier())
    return geti_project.write(tmp_path / "colours", task, name="colours")


async def test_hooks_of_geti_sdk_are_attached_and_work(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiohooks")
    keep = {"FileSystemDataCollection": {"target_folder": str(tmp_path / "kept")}}
    geti_config(folder, geti_hook(keep, {"LabelTrigger": {"label_names": ["red"]}}, max_threads=2, queue_limit=9))
    async with Deployment.load(folder) as deployment:
        (hook,) = deployment.hooks
        for image in (RED, GREEN, RED):
            await deployment.infer(image)
    assert (hook.counts.seen, hook.counts.done) == (3, 2)
    assert (hook.hook.max_concurrency, hook.hook.max_pending) == (2, 9)
    assert len(list((tmp_path / "kept/images").glob("*.png"))) == 2
    assert caplog.messages[0] == (
        f"deployment colours: attached the hooks in {folder}/deployment/hook_config.json:"
        " LabelTrigger → FileSystemDataCollection"
    )


async def test_the_own_file_goes_first(folder: Path) -> None:
    geti_config(folder, geti_hook({"FileSystemDataCollection": {"target_folder": "kept"}}))
    save_hooks(
        folder / "deployment/aiohooks.json",
        [PostInferenceHook(trigger=AlwaysTrigger(), action=LogAction(), name="say")],
    )
    assert [hook.name for hook in Deployment.load(folder / "deployment").hooks] == ["say"]


async def test_hooks_are_left_out_when_told_to(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiohooks")
    (folder / "deployment/hook_config.json").write_text("this is not even read")
    async with Deployment.load(folder, hooks=False) as deployment:
        assert deployment.hooks == ()
        assert (await deployment.infer(RED)).label_names == ("red",)
    assert caplog.messages == []


async def test_no_hooks_nothing_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiohooks")
    assert Deployment.load(folder).hooks == ()
    assert caplog.messages == []


async def test_loading_offline_asks_no_server_and_infers(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def refuse(*address: Any, **_: Any) -> Any:
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("GETI_TOKEN", raising=False)
    geti_config(folder, geti_hook(COLLECT, {"LabelTrigger": {"label_names": ["green"]}}))
    async with Deployment.load(folder) as deployment:
        (hook,) = deployment.hooks
        assert (await deployment.infer(RED)).label_names == ("red",)
        assert asked == []
        # The hook whose turn comes fails by itself, and says what it lacks.
        assert (await deployment.infer(GREEN)).label_names == ("green",)
        await deployment.drained()
    assert hook.counts.failed == 1
    assert "GETI_TOKEN" in caplog.messages[-1]
    assert any(
        "put a personal access token of Geti into the environment variable GETI_TOKEN" in m for m in caplog.messages
    )
    assert TOKEN not in f"{caplog.text} {deployment} {hook} {hook.hook}"


@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        (geti_hook({"SendMail": {}}), r"action: unknown action 'SendMail'; known are .*\. With hooks=False"),
        (geti_hook({"LogAction": {}}, {"BlurTrigger": {}}), "trigger: unknown trigger 'BlurTrigger'; known are .* installed"),
        (geti_hook({"FileSystemDataCollection": {}}), "FileSystemDataCollection: the field 'target_folder' is missing"),
    ],
)  # fmt: skip
async def test_a_hook_that_cannot_be_had_is_an_error_that_says_where(folder: Path, hook: Any, problem: str) -> None:
    geti_config(folder, hook)
    with pytest.raises(
        SpecError, match=rf"hook_config\.json: \$\.post_inference_hooks\[0\]\.PostInferenceHook\..*{problem}"
    ):
        Deployment.load(folder)


ACME = """
import msgspec
class Acme(msgspec.Struct, frozen=True, tag=True):
    def __repr__(self):
        return "acme at work"
    async def __call__(self, event): ...
"""


@pytest.mark.parametrize("form", ["aiohooks.json", "hook_config.json"])
def test_classes_of_ones_own_are_found_by_a_process_that_never_imported_them(
    folder: Path, tmp_path: Path, form: str
) -> None:
    own = {"version": 1, "hooks": [{"trigger": {"type": "AlwaysTrigger"}, "action": {"type": "Acme"}}]}
    geti = {"post_inference_hooks": [geti_hook({"Acme": {}})]}
    (folder / "deployment" / form).write_text(json.dumps(own if form == "aiohooks.json" else geti))
    with installed(tmp_path, "acme_folder", ACME, "[aiohooks.actions]\nAcme = acme_folder:Acme\n"):
        program = f"import aiohooks; print(aiohooks.Deployment.load({str(folder)!r}).hooks[0].hook.action)"
        path = f"import sys; sys.path[:] = {sys.path!r}; "
        done = subprocess.run([sys.executable, "-c", path + program], capture_output=True, text=True, check=True)
    assert done.stdout == "acme at work\n"


# saving --------------------------------------------------------------------------------------------------------

DOGS = PostInferenceHook(trigger=LabelTrigger(["red"]) & ~ConfidenceTrigger(0.25), action=LogAction(), name="dogs")
UPLOAD = PostInferenceHook(trigger=AlwaysTrigger(), action=GetiDataCollection("Dogs", host="https://h"), name="upload")
KEEP = PostInferenceHook(
    trigger=ConfidenceTrigger(0.7), action=FileSystemDataCollection("kept"), rate=Rate(2), name="keep"
)


def hook_files_in(folder: Path) -> list[str]:
    return sorted(
        path.name for path in (folder / "deployment").iterdir() if path.suffix == ".json" and path.stem != "project"
    )


async def test_hooks_are_saved_and_come_back(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "aiohooks")
    monkeypatch.setenv("GETI_TOKEN", TOKEN)
    deployment = Deployment.load(folder)
    for hook in (DOGS, UPLOAD, KEEP):
        deployment.add_hook(hook)
    place = await deployment.save(tmp_path / "saved")
    assert tuple(running.hook for running in Deployment.load(tmp_path / "saved").hooks) == (DOGS, UPLOAD, KEEP)
    assert caplog.messages == [
        "hook dogs is not in hook_config.json: geti-sdk has no combinations of triggers; aiohooks.json has it",
        "hook upload is not in hook_config.json: geti-sdk's GetiDataCollection needs a token in the file, and secrets are"
        " never written; aiohooks.json has it",
        f"deployment colours: attached the hooks in {place}/aiohooks.json: dogs, upload, keep",
    ]
    (place / "aiohooks.json").unlink()
    (left,) = Deployment.load(tmp_path / "saved").hooks
    assert left.hook == msgspec.structs.replace(KEEP, name="")
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


async def test_a_model_is_saved_with_its_hooks_too(tmp_path: Path) -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(DOGS)
        await deployment.save(tmp_path / "saved")
    async with Deployment.load(tmp_path / "saved") as deployment:
        assert [hook.name for hook in deployment.hooks] == ["dogs"]
        assert (await deployment.infer(RED)).label_names == ("red",)


async def test_code_is_not_saved_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    async def act(event: Any) -> None: ...

    deployment = Deployment.load(folder)
    deployment.add_hook(KEEP)
    deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=act))
    with pytest.raises(SpecError, match=r"\$\.hooks\[1\]\.action: the action act cannot be saved, because it is code"):
        await deployment.save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    await deployment.save(tmp_path / "saved", hooks=False)
    assert hook_files_in(tmp_path / "saved") == []


async def test_saving_in_place_says_what_the_deployment_has(folder: Path) -> None:
    deployment = Deployment.load(folder)
    dogs, _ = deployment.add_hook(DOGS), deployment.add_hook(KEEP)
    await deployment.save(folder)
    assert hook_files_in(folder) == ["aiohooks.json", "hook_config.json"]
    deployment.clear_hooks()
    await deployment.save(folder, hooks=False)
    assert hook_files_in(folder) == ["aiohooks.json", "hook_config.json"]
    deployment.add_hook(dogs.hook)
    await deployment.save(folder)
    assert hook_files_in(folder) == ["aiohooks.json"]
    deployment.clear_hooks()
    await deployment.save(folder)
    assert hook_files_in(folder) == []


# the command line ----------------------------------------------------------------------------------------------


async def test_saving_in_place_leaves_hooks_alone_that_were_not_wanted(folder: Path) -> None:
    geti_config(folder, geti_hook({"FileSystemDataCollection": {"target_folder": "kept"}}))
    deployment = Deployment.load(folder, hooks=False)
    await deployment.save(folder)
    assert hook_files_in(folder) == ["hook_config.json"]
    deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=LogAction()))
    await deployment.save(folder)
    assert Deployment.load(folder).hooks[0].hook.action == LogAction()


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    for name, image in {"1": RED, "2": GREEN}.items():
        write_picture(tmp_path / f"pictures/{name}.png", image)
    return str(tmp_path / "pictures")


def test_saved_hooks_run_when_told_to(
    folder: Path, pictures: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = {"FileSystemDataCollection": {"target_folder": str(tmp_path / "kept")}}
    geti_config(folder, geti_hook(keep))
    assert main(["run", str(folder), pictures]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"the hooks in {folder}/deployment/hook_config.json are left out; --saved-hooks runs them\n"
    assert "AlwaysTrigger" not in shown.out
    assert not (tmp_path / "kept").exists()

    assert main(["run", str(folder), pictures, "--saved-hooks"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith(
        f"deployment colours: attached the hooks in {folder}/deployment/hook_config.json: Always"
    )
    assert "AlwaysTrigger → FileSystemDataCollection" in shown.out
    assert len(list((tmp_path / "kept/images").iterdir())) == 2


def test_saved_hooks_that_are_not_there_are_missed(
    folder: Path, pictures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in (folder, folder / "deployment/Colours/model/model.xml"):
        assert main(["run", str(model), pictures, "--saved-hooks"]) == 2
        assert f"no hooks are saved with {model}" in capsys.readouterr().err


def test_a_hook_config_is_also_a_file_of_hooks(folder: Path, pictures: str, capsys: pytest.CaptureFixture[str]) -> None:
    geti_config(folder, geti_hook({"LogAction": {"message": "seen {name}"}}))
    path = folder / "deployment/hook_config.json"
    assert main(["run", str(folder / "deployment/Colours/model/model.xml"), pictures, "--hooks", str(path)]) == 0
    assert sorted(capsys.readouterr().err.splitlines()) == ["seen 1.png", "seen 2.png"]


def test_saved_hooks_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(folder)]) == 0
    assert "hooks" not in capsys.readouterr().out
    dogs = PostInferenceHook(
        trigger=LabelTrigger(["red"]) & ~ConfidenceTrigger(0.25),
        action=GetiDataCollection("Dogs", host="https://h"),
        name="upload",
        rate=Rate(2, per=0.5),
        overflow="drop_oldest",
    )
    keep = PostInferenceHook(trigger=AlwaysTrigger(), action=FileSystemDataCollection("kept"), max_pending=1)
    save_hooks(folder / "deployment/aiohooks.json", [dogs, keep])
    assert main(["info", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("hooks"))
    assert lines[start - 1 :] == [
        "",
        "hooks   2 in aiohooks.json",
        "        upload",
        "          when AllOf(parts=[LabelTrigger(label_names=['red']), Not(part=ConfidenceTrigger(threshold=0.25))])",
        "          do GetiDataCollection(project='Dogs', host='https://h')",
        "          5 at once, 64 may wait, then drop oldest; at most 2 in 0.5 s",
        "        AlwaysTrigger → FileSystemDataCollection",
        "          when AlwaysTrigger()",
        "          do FileSystemDataCollection(target_folder='kept')",
        "          5 at once, 1 may wait, then block",
    ]
    assert main(["info", str(folder), "--json"]) == 0
    assert [hook.get("name") for hook in json.loads(capsys.readouterr().out)["hooks"]] == ["upload", None]


def test_a_malformed_file_is_told_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    geti_config(folder, geti_hook({"LogAction": {}}, max_threads="5"))
    for line in (["info", str(folder)], ["run", str(folder), str(folder), "--saved-hooks"]):
        assert main(line) == 1
        printed = capsys.readouterr()
        assert ("requests" in printed.out) is (line[0] == "info")  # the model is described all the same
        (told,) = printed.err.splitlines()
        assert (
            "hook_config.json: $.post_inference_hooks[0].PostInferenceHook.max_threads: Expected int, got str" in told
        )
