"""`aiohooks run`: models over pictures and videos, in this process."""

import io
import json
import logging
import re
import shutil
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from cli_fixtures import ALWAYS, collector, write_hooks, write_picture, write_video
from tiny_models import classifier, detector, failing, picture, plain, save, without_info

from aiohooks.cli import main
from aiohooks.cli.log_lines import shown_logs
from aiohooks.cli.progress import hint, progress_bar, say
from aiohooks.sources import images

RED_BOX = (8, 4, 24, 20)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a detector and three pictures: two with something red, one black."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENCV_LOG_LEVEL", "OPENCV_FFMPEG_LOGLEVEL"):
        monkeypatch.setenv(name, "ERROR" if name == "OPENCV_LOG_LEVEL" else "-8")
    save(detector(), tmp_path / "model.xml")
    write_picture(tmp_path / "pics/1.png", picture(red=RED_BOX))
    write_picture(tmp_path / "pics/2.png", picture(red=RED_BOX, green=(30, 30, 50, 50)))
    write_picture(tmp_path / "pics/10.png", plain())
    return tmp_path


class Shell:
    """Runs commands and keeps what the last one said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, line: str) -> int:
        code = main(line.split())
        self.out, self.err = self._capsys.readouterr()
        return code

    def json(self, line: str) -> dict[str, Any]:
        self(f"{line} --json")
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def shell(here: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


# what is told --------------------------------------------------------------------------------------------------


def test_a_line_for_each_frame(shell: Shell, here: Path):
    (here / "pics/3.png").write_text("no picture")
    assert shell("run model.xml pics --list") == 1
    first, second, third, fourth, *_ = shell.out.splitlines()
    assert (first, second, fourth) == ("1.png: red 90%", "2.png: red 90%, green 90%", "10.png: nothing")
    assert "3.png" in third
    assert "not a picture" in third
    assert shell.out.splitlines()[4] == ""  # and then the summary
    with pytest.raises(SystemExit):
        shell("run model.xml pics --list --json")


def test_a_run_can_be_watched(shell: Shell, here: Path, monkeypatch: pytest.MonkeyPatch):
    pages: list[bytes] = []

    def look(text: str) -> None:
        if found := re.search(r"live at (http://127.0.0.1:\d+)", text):
            asking = threading.Thread(target=lambda: pages.append(urllib.request.urlopen(found[1], timeout=20).read()))
            asking.start()
            threads.append(asking)

    threads: list[threading.Thread] = []
    monkeypatch.setattr("aiohooks.cli.live.say", look)
    assert shell("run model.xml pics --live") == 0
    for each in threads:
        each.join(20)
    assert b"aiohooks live" in pages[0]


def test_a_folder_of_pictures_is_summed_up(shell: Shell):
    assert shell("run model.xml pics") == 0
    head, _, *rows = shell.out.splitlines()
    assert head.startswith("model: 3 frames in ")
    assert rows == [
        "label       frames   count   mean score",
        "red              2       2         0.90",
        "green            1       1         0.90",
        "(nothing)        1",
    ]
    assert shell.err == ""


def test_the_summary_is_also_there_for_programs(shell: Shell):
    told = shell.json("run model.xml pics")
    assert told["frames_per_second"] == pytest.approx(3 / told["seconds"])
    assert told["labels"][0] == {"label": "red", "frames": 2, "count": 2, "mean_score": pytest.approx(0.9, abs=0.01)}
    assert {name: told[name] for name in ("model", "frames", "failed", "nothing", "ended_early", "hooks")} == {
        "model": "model", "frames": 3, "failed": 0, "nothing": 1, "ended_early": "", "hooks": [],
    }  # fmt: skip


def test_frames_that_fail_are_told_and_make_the_exit_code_one(here: Path, shell: Shell):
    save(failing(), here / "failing.xml")
    write_picture(here / "mixed/1.png", plain(255, 255, 255))
    write_picture(here / "mixed/2.png", plain(red=200))
    (here / "mixed/3.png").write_bytes(b"no picture")
    assert shell("run failing.xml mixed") == 1
    assert shell.err == ""
    assert "failing: 1 frame in" in shell.out
    lines = shell.out.splitlines()
    start = lines.index("2 frames failed:")
    assert "frame 0 ('1.png')" in lines[start + 1]
    assert "mixed/3.png: not a picture" in lines[start + 2]


def test_an_empty_folder_is_an_error(here: Path, shell: Shell):
    (here / "empty").mkdir()
    assert shell("run model.xml empty") == 1
    assert "folder empty: no picture in it" in shell.out


# what it runs on -----------------------------------------------------------------------------------------------


def test_sources_of_all_kinds_run_one_after_the_other(here: Path, shell: Shell):
    write_video(here / "clip.mp4", [picture(blue=(8, 8, 40, 40))] * 5)
    told = shell.json("run model.xml pics/1.png pics/10.png clip.mp4 pics")
    assert (told["frames"], told["failed"], told["nothing"]) == (10, 0, 2)
    assert {label["label"]: label["count"] for label in told["labels"]} == {"blue": 5, "red": 3, "green": 1}


def test_a_part_of_a_video(here: Path, shell: Shell):
    write_video(here / "clip.mp4", [plain()] * 10)
    assert shell.json("run model.xml clip.mp4 --start 2 --end 8 --stride 3")["frames"] == 2


def test_subfolders_are_taken_when_told_to(here: Path, shell: Shell):
    shutil.copytree(here / "pics", here / "pics/more")
    assert shell.json("run model.xml pics")["frames"] == 3
    assert shell.json("run model.xml pics --recursive")["frames"] == 6


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("run model.xml pics --stride 2", "--start, --end and --stride are for videos, and no SOURCE is a video"),
        ("run model.xml clip.mp4 --start 5 --end 5", "--end 5 must be greater than --start 5"),
    ],
)
def test_a_range_that_makes_no_sense_is_wrong_usage(line: str, reason: str, shell: Shell):
    assert shell(line) == 2
    assert shell.err == f"aiohooks run: {reason}\n"


# what cannot begin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("run model.xml pics/nothing.png", "pics/nothing.png: there is no such file or folder"),
        ("run missing.xml pics", "missing.xml: there is no such file or folder"),
        ("run text.xml pics", "text.xml: OpenVINO cannot read this as a model"),
        ("run model.xml pics --labels cat,dog", "the model's metadata names 3 (red, green, blue), 2 were given"),
        ("run model.xml pics --labels names.txt", "labels: cannot read 'names.txt'"),
        ("run model.xml pics --parameter sharpness=1", "unknown parameter 'sharpness'"),
        ("run model.xml pics --config SPEED=11", "Unsupported property SPEED"),
        ("run model.xml pics --device ABACUS", "cannot compile it for device 'ABACUS'"),
        ("run model.xml pics --hooks missing.json", "missing.json: cannot be read"),
        ("run model.xml pics --hooks typed.json", "typed.json: $.hooks[0].trigger.threshold: Expected"),
    ],
)
def test_an_error_is_told_in_one_line(line: str, reason: str, here: Path, shell: Shell):
    (here / "text.xml").write_text("no model")
    write_hooks(here / "typed.json", {"trigger": {"type": "ConfidenceTrigger", "threshold": "high"}, "action": {}})
    assert shell(line) == 1
    assert shell.out == ""
    assert shell.err.startswith("aiohooks run: ")
    assert reason in shell.err
    assert shell.err.count("\n") == 1


# how the model runs --------------------------------------------------------------------------------------------


def test_options_reach_the_model(here: Path, shell: Shell):
    save(without_info(detector()), here / "bare.xml")
    options = (
        "--model-type ssd --labels a,b,c --parameter scale_values=255 --parameter confidence_threshold=0.95"
        " --config INFERENCE_PRECISION_HINT=f32 --max-requests 1"
    )
    told = shell.json(f"run bare.xml pics {options}")
    assert (told["frames"], told["nothing"]) == (3, 3)
    told = shell.json(f"run bare.xml pics {options.replace('0.95', '0.5')}")
    assert [label["label"] for label in told["labels"]] == ["a", "b"]


def test_labels_come_from_a_file(here: Path, shell: Shell):
    (here / "names.txt").write_text("rot\ngrün\nblau\n", encoding="utf-8")
    told = shell.json("run model.xml pics --labels names.txt")
    assert [label["label"] for label in told["labels"]] == ["rot", "grün"]


# hooks ---------------------------------------------------------------------------------------------------------


def test_what_hooks_did_is_told(here: Path, shell: Shell):
    log = {"type": "LogAction", "message": "{name} is red"}
    red = {"type": "LabelTrigger", "label_names": ["red"]}
    keep = {"type": "FileSystemDataCollection", "target_folder": "kept"}
    write_hooks(
        here / "hooks.json",
        {"name": "say", "trigger": red, "action": log},
        {"name": "keep", "trigger": ALWAYS, "action": keep, "rate": {"count": 1, "per": 3600}},
    )
    assert shell("run model.xml pics --hooks hooks.json") == 0
    assert sorted(shell.err.splitlines()) == ["1.png is red", "2.png is red"]
    assert shell.out.splitlines()[-3:] == [
        "hook   seen   not fired   fired   done   failed   rate limited",
        "say       3           1       2      2        0              0",
        "keep      3           0       3      1        0              2",
    ]
    assert len(list((here / "kept/images").iterdir())) == 1


def test_a_hook_that_fails_is_told_with_its_reason(here: Path, shell: Shell):
    (here / "taken").write_text("a file, not a folder")
    keep = {"type": "FileSystemDataCollection", "target_folder": "taken"}
    write_hooks(here / "hooks.json", {"name": "keep", "trigger": ALWAYS, "action": keep})
    assert shell("run model.xml pics/1.png --hooks hooks.json") == 1
    assert shell.err == ""
    *_, heading, reason = shell.out.splitlines()
    assert heading == "the hook keep failed:"
    assert "taken" in reason
    assert reason.endswith("(first on 1.png)")


# while it runs -------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal that somebody watches."""

    def isatty(self) -> bool:
        return True


def test_a_bar_moves_in_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    source = images("a.png", "b.png", "c.png", "d.png")
    with progress_bar(source) as step:
        step()
        say("halfway\nthere")
    shown = terminal.getvalue()
    assert "4 pictures:" in shown
    assert "1/4 " in shown
    assert "frames/s" in shown
    assert "halfway\\nthere\n" in shown


def test_no_bar_moves_where_nobody_watches(capsys: pytest.CaptureFixture[str]):
    with progress_bar(images("a.png")) as step:
        step()
        say("here")
        hint("there")
    assert capsys.readouterr().err == "here\n"


def test_who_watches_is_told_what_is_waited_for(here: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch):
    class Patient(Terminal):
        def write(self, text: str) -> int:
            if "2 events wait for hooks, which may take 60 s" in text:
                server.answers.set()
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Patient())
    with collector() as server:
        write_hooks(here / "hooks.json", server.hook(max_concurrency=1))
        assert shell("run model.xml pics --hooks hooks.json") == 0


def test_logs_are_lines_without_tracebacks(caplog: pytest.LogCaptureFixture):
    lines: list[str] = []
    logger = logging.getLogger("aiohooks.sources")
    before = logging.getLogger("aiohooks").handlers.copy()
    with shown_logs(lines.append):
        logger.debug("too much detail")
        logger.info("camera %s opened", 0)
        try:
            raise OSError("unplugged")
        except OSError:
            logger.exception("camera 0 closed")
    assert lines == ["camera 0 opened", "error: camera 0 closed: OSError: unplugged"]
    assert caplog.records == []  # nobody else shows them again
    assert logging.getLogger("aiohooks").handlers == before


def test_a_classifier_runs_too(here: Path, shell: Shell):
    save(classifier(), here / "classifier.xml")
    told = shell.json("run classifier.xml pics/1.png")
    assert [label["label"] for label in told["labels"]] == ["red"]
