"""The command as a program: help, usage, exit codes, what it loads and how it ends when nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_fixtures import start
from tiny_models import classifier, save

import aiohooks
from aiohooks.cli import main

COMMANDS = ("run", "info", "demo")


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exited:
        main(["--help"])
    assert exited.value.code == 0
    told = capsys.readouterr().out
    assert all(f"\n    {name} " in told for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exited:
        main([command, "--help"])
    assert exited.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: aiohooks {command}")


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert exited.value.code == 0
    assert capsys.readouterr().out == f"aiohooks {aiohooks.__version__}\n"


def test_without_a_command_it_shows_its_help_and_calls_that_wrong_usage(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "commands:" in shown.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["run", "model.xml"], "SOURCE"),
        (["info", "model.xml", "--parameter", "threshold"], "expected KEY=VALUE, got 'threshold'"),
        (["info", "model.xml", "--max-requests", "0"], "expected a whole number of at least 1, got '0'"),
        (["run", "model.xml", "a.png", "--stride", "half"], "expected a whole number of at least 1, got 'half'"),
        (["run", "model.xml", "a.png", "--drain-timeout", "soon"], "expected a number of seconds, got 'soon'"),
        (["run", "model.xml", "a.png", "--drain-timeout", "inf"], "expected a number of seconds, got 'inf'"),
        (["run", "model.xml", "a.png", "--rec"], "unrecognized arguments: --rec"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert reason in capsys.readouterr().err


def test_help_needs_no_heavy_library(tmp_path: Path):
    heavy = ("openvino", "model_api", "cv2", "aiohttp", "PIL")
    code = (
        "import sys\nfrom aiohooks.cli import main\ntry: main(['--help'])\nfinally:"
        f" print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0
    assert done.stderr == "[]\n"


def test_it_runs_as_a_module(tmp_path: Path):
    process = start("info", "missing.xml", folder=tmp_path)
    said = f"aiohooks info: missing.xml: there is no such file or folder in the working directory, {tmp_path}\n"
    assert process.communicate() == ("", said)
    assert process.returncode == 1


@pytest.mark.parametrize("arguments", [["--help"], ["info", "model.xml"]])
def test_it_is_silent_when_nobody_reads_its_output(arguments: list[str], tmp_path: Path):
    save(classifier(), tmp_path / "model.xml")
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, folder=tmp_path, stdout=writing)
    os.close(writing)
    assert process.communicate() == (None, "")
    assert process.returncode in (0, 141)  # argparse takes a help that nobody reads for shown


def test_output_that_nobody_reads_ends_it_as_it_ends_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    save(classifier(), tmp_path / "model.xml")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["info", str(tmp_path / "model.xml")]) == 141
    assert capsys.readouterr().err == ""


def test_a_letter_that_the_output_has_no_code_for_does_not_fail(tmp_path: Path):
    process = start("info", "größe.xml", folder=tmp_path, shell="export PYTHONIOENCODING=ascii")
    assert "gr?" in process.communicate()[1]
    assert process.returncode == 1
