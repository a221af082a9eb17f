"""Ctrl-C and SIGTERM: what is in flight is finished, and told."""

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import anyio
import pytest
from cli_fixtures import ALWAYS, Collector, collector, read_video, start, write_hooks, write_picture, write_video
from hook_fixtures import frame
from tiny_models import detector, picture, save

from aiohooks.cli import main
from aiohooks.cli.ending import Ending, FramesUntil
from aiohooks.frame import Frame
from aiohooks.sources import FrameSource

RED = picture(red=(8, 4, 24, 20))
MANY = 2000

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs signals that can be sent to a process")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a detector and a picture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")
    save(detector(), tmp_path / "model.xml")
    write_picture(tmp_path / "a.png", RED)
    return tmp_path


class SignalStack(ctypes.Structure):
    """``stack_t`` of Linux (man 2 sigaltstack)."""

    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("nbytes", ctypes.c_size_t))


def leave_signal_stack() -> None:
    """Have signals handled where the thread is.

    OpenVINO's CPU plugin gives the thread that makes a Core a stack for its signals, and unmaps it in the one that drops the Core: where
    an earlier test did so, the next signal here would end the process.
    """
    if sys.platform == "linux":
        disabled = SignalStack(None, 2, 0)
        assert ctypes.CDLL(None).sigaltstack(ctypes.byref(disabled), None) == 0


@pytest.fixture(autouse=True)
def heeded_signals() -> Iterator[None]:
    """Signals as in a terminal: a program that was started in the background is told to ignore Ctrl-C."""
    leave_signal_stack()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def server() -> Iterator[Collector]:
    with collector() as running:
        yield running


# in this process -----------------------------------------------------------------------------------------------


class OnFirstLine(logging.Handler):
    """Raises a signal at the first line that is logged."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number
        self.raised = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.raised:
            self.raised = True
            signal.raise_signal(self.number)


@pytest.fixture(params=[(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")], ids=["INT", "TERM"])
def interrupted(request: pytest.FixtureRequest, here: Path) -> Iterator[tuple[int, str]]:
    """Exit code and word of a signal, which comes when hooks.json acts on the first frame."""
    number, code, word = request.param
    logger, handler = logging.getLogger("aiohooks.hooks"), OnFirstLine(number)
    write_hooks(here / "hooks.json", {"trigger": ALWAYS, "action": {"type": "LogAction"}})
    logger.addHandler(handler)
    yield code, word
    logger.removeHandler(handler)


def test_a_signal_ends_a_run_in_order(interrupted: tuple[int, str], capsys: pytest.CaptureFixture[str]):
    code, word = interrupted
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(["run", "model.xml", *["a.png"] * MANY, "--hooks", "hooks.json", "--json"]) == code
    shown = capsys.readouterr()
    assert f"{word}: what is in flight is finished first; Ctrl-C again ends at once" in shown.err
    told = json.loads(shown.out)
    assert told["ended_early"] == word
    assert 0 < told["frames"] < MANY
    (hook,) = told["hooks"]
    assert hook["counts"]["done"] == hook["counts"]["seen"] == told["frames"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_an_interrupted_video_can_be_played(interrupted: tuple[int, str], capsys: pytest.CaptureFixture[str]):
    write_video(Path("clip.mp4"), [RED] * 300)
    arguments = ["run", "model.xml", "clip.mp4", "clip.mp4", "--output", "out", "--hooks", "hooks.json", "--json"]
    assert main(arguments) == interrupted[0]
    told = json.loads(capsys.readouterr().out)
    assert 0 < told["frames"] < 300
    assert [output["frames"] for output in told["outputs"]] == [told["frames"], 0]
    assert len(read_video(Path("out/clip.mp4"))[1]) == told["frames"]
    assert [path.name for path in Path("out").iterdir()] == ["clip.mp4"]


class Silent:
    """A source that never has a frame."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        self.asked.set()
        await anyio.sleep_forever()
        return frame()

    async def aclose(self) -> None: ...


@pytest.mark.anyio
async def test_waiting_for_a_frame_ends_with_the_run():
    ending, silent = Ending(), Silent()
    frames = FramesUntil(FrameSource("silent", lambda _: silent), ending)
    ended = False

    async def read() -> None:
        nonlocal ended
        async for _ in frames:
            raise AssertionError("a frame out of nothing")
        ended = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await silent.asked.wait()
        ending.end("enough", 1)
        ending.end("too late", 2)
    assert ended
    assert (ending.reason, ending.exit_code) == ("enough", 1)


@needs_signals
def test_hooks_that_do_not_finish_in_time_are_cancelled_and_counted(
    here: Path, server: Collector, capsys: pytest.CaptureFixture[str]
):
    def interrupt_once_asked() -> None:
        server.asked.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_once_asked)
    thread.start()
    write_hooks(here / "hooks.json", server.hook(max_concurrency=1, max_pending=1))
    options = ["--hooks", "hooks.json", "--drain-timeout", "0.1", "--json"]
    assert main(["run", "model.xml", *["a.png"] * MANY, *options]) == 130
    thread.join()
    (hook,) = json.loads(capsys.readouterr().out)["hooks"]
    assert hook["counts"]["cancelled"] == hook["counts"]["seen"] > 0
    assert hook["counts"]["done"] == 0


@needs_signals
def test_a_command_that_has_nothing_to_finish_just_ends(capsys: pytest.CaptureFixture[str]):
    os.mkfifo("names.txt")

    def interrupt_who_reads() -> None:
        with Path("names.txt").open("w"):
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait()

    ended = threading.Event()
    thread = threading.Thread(target=interrupt_who_reads)
    thread.start()
    try:
        assert main(["info", "model.xml", "--labels", "names.txt"]) == 130
    finally:
        ended.set()
        thread.join()
    assert capsys.readouterr().err == "interrupted\n"


# as a process --------------------------------------------------------------------------------------------------


def interrupt(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> None:
    """Send a signal and wait until it is answered."""
    process.send_signal(number)
    assert process.stderr is not None
    while "what is in flight is finished first" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"


@needs_signals
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_finishes_what_its_hooks_have_begun(number: signal.Signals, code: int, here: Path, server: Collector):
    write_hooks(here / "hooks.json", server.hook())
    process = start("run", "model.xml", *["a.png"] * MANY, "--hooks", "hooks.json", "--json", folder=here)
    server.asked.wait()
    interrupt(process, number)
    server.answers.set()
    out, err = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in err
    told = json.loads(out)
    (hook,) = told["hooks"]
    assert 0 < told["frames"] == hook["counts"]["done"] < MANY


@needs_signals
def test_a_second_signal_ends_it_at_once(here: Path, server: Collector):
    write_hooks(here / "hooks.json", server.hook())
    process = start("run", "model.xml", *["a.png"] * MANY, "--hooks", "hooks.json", folder=here)
    server.asked.wait()
    interrupt(process)
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "")
    assert process.returncode == -signal.SIGINT  # what a shell calls 130


@needs_signals
def test_a_signal_that_is_ignored_stays_ignored(here: Path, server: Collector):
    write_hooks(here / "hooks.json", server.hook())
    process = start("run", "model.xml", *["a.png"] * MANY, "--hooks", "hooks.json", folder=here, shell="trap '' INT")
    server.asked.wait()
    process.send_signal(signal.SIGINT)
    interrupt(process, signal.SIGTERM)
    server.answers.set()
    assert "terminated" in process.communicate()[0]
    assert process.returncode == 143
