"""Hooks as files of a deployment's folder."""

import json
import logging
from pathlib import Path

import pytest

from aiohooks.errors import SpecError
from aiohooks.hooks.actions import FileSystemDataCollection, GetiDataCollection, HttpRequestAction, LogAction
from aiohooks.hooks.deployment_folder import hook_file, hook_files, load_folder_hooks
from aiohooks.hooks.geti_hook_config import hooks_from_geti
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.triggers import AlwaysTrigger, ConfidenceTrigger, LabelTrigger
from aiohooks.rate import Rate

UNSURE = PostInferenceHook(trigger=ConfidenceTrigger(0.7), action=FileSystemDataCollection("kept"), rate=Rate(2))
DOGS = PostInferenceHook(trigger=LabelTrigger(["dog"]) & ~ConfidenceTrigger(0.5), action=LogAction(), name="dogs")
UPLOAD = PostInferenceHook(trigger=AlwaysTrigger(), action=GetiDataCollection("Dogs"), name="upload")


def write(folder: Path, *hooks: PostInferenceHook) -> None:
    for name, content in hook_files(hooks).items():
        if content is not None:
            (folder / name).write_bytes(content)


def test_a_folder_without_hooks(tmp_path: Path) -> None:
    assert load_folder_hooks(tmp_path) is None
    assert hook_files([]) == {"aiohooks.json": None, "hook_config.json": None}


def test_all_hooks_come_back_and_geti_sdk_gets_those_it_can_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiohooks.hooks")
    write(tmp_path, DOGS, UNSURE, UPLOAD)
    assert load_folder_hooks(tmp_path) == (tmp_path / "aiohooks.json", (DOGS, UNSURE, UPLOAD))
    assert hooks_from_geti(json.loads((tmp_path / "hook_config.json").read_bytes())).hooks == (UNSURE,)
    assert caplog.messages == [
        "hook dogs is not in hook_config.json: geti-sdk has no combinations of triggers; aiohooks.json has it",
        "hook upload is not in hook_config.json: geti-sdk's GetiDataCollection needs a token in the file, and secrets are"
        " never written; aiohooks.json has it",
    ]


def test_the_file_of_geti_sdk_is_read_where_ours_is_missing(tmp_path: Path) -> None:
    write(tmp_path, DOGS, UNSURE)
    (tmp_path / "aiohooks.json").unlink()
    assert hook_file(tmp_path) == tmp_path / "hook_config.json"
    assert load_folder_hooks(tmp_path) == (tmp_path / "hook_config.json", (UNSURE,))


def test_without_a_hook_that_geti_sdk_can_have_it_gets_no_file() -> None:
    files = hook_files([DOGS])
    assert files["hook_config.json"] is None
    assert files["aiohooks.json"] is not None


def test_code_cannot_be_saved() -> None:
    with pytest.raises(
        SpecError, match=r"\$\.hooks\[1\]\.action: the action print cannot be saved, because it is code"
    ):
        hook_files([UNSURE, PostInferenceHook(trigger=AlwaysTrigger(), action=print)])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("aiohooks.json", "[", "line 1, column 2: Expecting value"),
        ("aiohooks.json", '{"version": 1, "hooks": [1]}', r"\$\.hooks\[0\]: Expected object, got int"),
        (
            "hook_config.json",
            '{"post_inference_hooks": [1]}',
            r"\$\.post_inference_hooks\[0\]: Expected object, got int",
        ),
        ("hook_config.json", "{}", r"\$: the field 'post_inference_hooks' is missing"),
        ("hook_config.json", "[]", "it must be an object such as .*, not a list"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(name: str, content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=rf"{name}: {problem}"):
        load_folder_hooks(tmp_path)


def test_no_secret_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GETI_TOKEN", "hunter22")
    monkeypatch.setenv("ALERT_TOKEN", "hunter22")
    alert = HttpRequestAction("https://h/", "POST", {"Authorization": "Bearer ${ALERT_TOKEN}"})
    write(tmp_path, UPLOAD, PostInferenceHook(trigger=AlwaysTrigger(), action=alert), UNSURE)
    texts = [path.read_text() for path in tmp_path.iterdir()]
    assert len(texts) == 2
    assert "hunter22" not in "".join(texts)
    assert "ALERT_TOKEN" not in (tmp_path / "hook_config.json").read_text()
