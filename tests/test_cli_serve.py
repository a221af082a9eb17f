"""`aiohooks serve`: what it is told, and as a process."""

import json
from pathlib import Path

import pytest
import served
import server_process
from cli_fixtures import ALWAYS, write_hooks

from aiohooks.cli import main

RED = served.png(red=255)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return served.colours(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "lets other machines in, which takes a token"),
        (["--host", "192.0.2.1"], "lets other machines in"),
        (["--limit", "nothing=1"], "--limit nothing: there is none; there are: body_bytes"),
        (["--limit", "pixels=many"], "--limit: "),
        (["MODEL"], "two models are called colours; give one another name"),
    ],
)
def test_wrong_usage(model: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(model) if argument == "MODEL" else argument for argument in arguments]
    assert main(["serve", str(model), *given, "--port", "0"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token-env", "NOT_SET"], "the environment variable NOT_SET is not set"),
        (["--limit", "pixels=0"], "Limits.pixels: expected more than 0"),
        (["--media", "/nowhere/to/be/found"], "/nowhere/to/be/found"),
        (["--host", "127.0.0.1", "--hooks", "/nowhere.json"], "/nowhere.json"),
    ],
)
def test_what_cannot_be(model: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(model), "--port", "0", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_models_by_name_with_hooks_a_token_and_logs(model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    hooks = write_hooks(
        tmp_path / "hooks.json",
        {"trigger": ALWAYS, "action": {"type": "FileSystemDataCollection", "target_folder": str(kept)}},
    )
    arguments = [model, f"other={model}", "--hooks", hooks, "--token-env", "TOKEN", "--access-log", "json"]
    with server_process.serving(*arguments, env={"TOKEN": "s3cret"}) as server:
        headers = {"X-API-Key": "s3cret"}
        assert server.request("GET", "/deployments")[0] == 401
        listed = json.loads(server.request("GET", "/deployments", headers=headers)[1])
        assert [one["name"] for one in listed] == ["colours", "other"]
        assert server.request("POST", "/deployments/other/infer?name=a.png", RED, headers)[0] == 200
        assert server.end() == 0
        lines = [json.loads(line) for line in server.said if line.startswith("{")]
    assert [(line["path"], line["status"], line["deployment"]) for line in lines] == [
        ("/deployments", 401, ""),
        ("/deployments", 200, ""),
        ("/deployments/other/infer", 200, "other"),
    ]
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert "s3cret" not in "".join(server.said)
    assert [path.read_bytes() for path in (kept / "images").iterdir()] == [RED]
