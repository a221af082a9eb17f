"""`aiohooks run --output`: annotated pictures and videos."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import cv2
import numpy as np
import pytest
from cli_fixtures import read_video, start, write_picture, write_video
from hook_fixtures import frame
from numpy.typing import NDArray
from tiny_models import detector, failing, picture, plain, save

from aiohooks.cli import main
from aiohooks.cli.annotated import AnnotatedPictures, AnnotatedVideo, Job
from aiohooks.cli.ending import Ending
from aiohooks.cli.names import Names
from aiohooks.cli.passage import Writing
from aiohooks.deployment import Deployment
from aiohooks.errors import DeliveryError, FrameError
from aiohooks.inference.result import Result
from aiohooks.prediction import Prediction

RED_BOX = (8, 4, 24, 20)
RED = picture(red=RED_BOX)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a detector."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")
    save(detector(), tmp_path / "model.xml")
    return tmp_path


def run(line: str) -> int:
    return main(["run", "model.xml", *line.split()])


def files(folder: str | Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def drawn() -> NDArray[np.uint8]:
    """`RED` as the detector annotates it."""

    async def draw() -> NDArray[np.uint8]:
        async with Deployment.load("model.xml") as deployment:
            return (await deployment.infer(RED)).draw(RED)

    return anyio.run(draw)


# pictures ------------------------------------------------------------------------------------------------------


def test_a_picture_is_annotated_under_its_name():
    write_picture(Path("pics/red.png"), RED)
    assert run("pics --output out") == 0
    assert files("out") == ["red.png"]
    assert np.array_equal(cv2.imread("out/red.png")[:, :, ::-1], drawn())


def test_pictures_keep_their_folders_and_formats_where_these_can_be_written():
    for name in ("a.jpg", "B.JPEG", "c.png", "d.bmp", "deep/er/a.jpg"):
        write_picture(Path("pics") / name, RED)
    assert run("pics --recursive --output out/new") == 0
    assert files("out/new") == ["B.JPEG", "a.jpg", "c.png", "d.bmp.png", "deep/er/a.jpg"]
    formats = {name: Path("out/new", name).read_bytes()[:2] for name in files("out/new")}
    assert formats == {name: b"\x89P" if name.endswith("png") else b"\xff\xd8" for name in formats}


def test_pictures_of_the_same_name_do_not_meet():
    for folder in ("one", "two", "three"):
        write_picture(Path(folder) / "a.png", RED)
    assert run("one/a.png two/a.png three --output out") == 0
    assert files("out") == ["a-2.png", "a.png", "three/a.png"]


def test_folders_of_the_same_name_do_not_meet():
    for folder in ("mon/pics", "tue/pics"):
        write_picture(Path(folder) / "a.png", RED)
    assert run("mon/pics tue/pics --output out") == 0
    assert files("out") == ["pics-2/a.png", "pics/a.png"]


def test_of_a_picture_that_failed_nothing_is_written():
    save(failing(), Path("model.xml"))
    write_picture(Path("pics/white.png"), plain(255, 255, 255))
    write_picture(Path("pics/red.png"), RED)
    Path("pics/text.png").write_text("no picture")
    assert run("pics --output out") == 1
    assert files("out") == ["red.png"]


@pytest.mark.parametrize(
    "line",
    [
        "pics --output pics",
        "pics/a.png --output pics",
        "pics --output . --recursive",
        "pics --output pics/out --recursive",
        "clip.mp4 --output .",
        "pics clip.mp4 --output .",
        "deep/pics other --output deep",
    ],
)
def test_what_it_reads_is_never_overwritten(line: str, capsys: pytest.CaptureFixture[str]):
    for folder in ("pics", "deep/pics", "other"):
        write_picture(Path(folder) / "a.png", RED)
    write_video(Path("clip.mp4"), [RED])
    before = files(".")
    assert run(line) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert files(".") == before


# videos --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "fps", "frames"), [("", 29.97, 9), ("--stride 3", 9.99, 3), ("--end 4", 29.97, 4)])
def test_a_video_is_annotated_at_its_size_and_speed(options: str, fps: float, frames: int):
    write_video(Path("clip.avi"), [RED] * 9, fps=29.97)
    assert run(f"clip.avi --output out {options}") == 0
    assert files("out") == ["clip.mp4"]
    found_fps, found = read_video(Path("out/clip.mp4"))
    assert found_fps == pytest.approx(fps, abs=0.01)
    assert len(found) == frames
    annotated = drawn().astype(int)
    for pixels in found:
        assert pixels.shape == RED.shape
        assert np.abs(pixels - annotated).mean() < np.abs(RED - annotated).mean() / 2


def test_a_frame_that_failed_stays_in_the_video_as_it_is():
    save(failing(), Path("model.xml"))
    white = plain(255, 255, 255)
    write_video(Path("clip.mp4"), [RED, white, RED])
    assert run("clip.mp4 --output out") == 1
    _, found = read_video(Path("out/clip.mp4"))
    assert len(found) == 3
    assert found[1].min() > 240


def test_of_a_frame_that_cannot_be_read_there_is_nothing_in_the_video(here: Path):
    video = AnnotatedVideo(here / "out.mp4", here / "in.mp4", 1)
    assert video.job(Result(0, FrameError("torn"))) is None
    video.finish()
    assert files(here) == ["model.bin", "model.xml"]


def test_a_video_of_unknown_speed_gets_the_usual_one(here: Path):
    video = AnnotatedVideo(here / "out.mp4", here / "gone.mp4", 1)
    append(video, (48, 64))
    video.finish()
    assert read_video(here / "out.mp4")[0] == 25.0


def append(video: AnnotatedVideo, size: tuple[int, int]) -> None:
    job = video.job(Result(0, None, frame(size=size), Prediction.empty("detection", size, ["cat"])))
    assert job is not None
    job()


# what cannot be written ----------------------------------------------------------------------------------------


def test_a_video_of_a_size_that_cannot_be_is_refused(here: Path):
    with pytest.raises(DeliveryError, match="OpenCV cannot write a video of 1×1 pixels"):
        append(AnnotatedVideo(here / "out.mp4", here / "in.mp4", 1), (1, 1))
    assert files(here) == ["model.bin", "model.xml"]


def test_a_video_that_lost_frames_is_not_kept(here: Path):
    video = AnnotatedVideo(here / "out.mp4", here / "in.mp4", 1)
    append(video, (48, 64))
    (unfinished,) = here.glob(".*.mp4")
    unfinished.unlink()
    with pytest.raises(DeliveryError, match=r"out\.mp4: the video cannot be written whole"):
        video.finish()
    assert files(here) == ["model.bin", "model.xml"]


@pytest.mark.anyio
async def test_after_a_frame_that_cannot_be_written_no_other_is():
    ending, written = Ending(), []

    def fail() -> None:
        raise DeliveryError("the disk is full")

    writing = Writing(AnnotatedPictures(Path("out"), Names()), ending)
    jobs, waiting = anyio.create_memory_object_stream[Job](4)
    for job in (partial(written.append, 1), fail, partial(written.append, 2), partial(written.append, 3)):
        jobs.send_nowait(job)
    jobs.close()
    await writing.work(waiting)
    await writing.finish()
    assert (written, writing.frames, ending.reason) == ([1], 1, "the disk is full")


def make_pictures() -> str:
    for number in range(50):
        write_picture(Path(f"pics/{number}.png"), RED)
    return "pics"


def make_video() -> str:
    write_video(Path("clip.mp4"), [RED] * 50)
    return "clip.mp4"


@pytest.mark.parametrize("make_source", [make_pictures, make_video])
def test_a_run_ends_when_its_output_cannot_be_written(
    make_source: Callable[[], str], capsys: pytest.CaptureFixture[str]
):
    source = make_source()
    Path("out").write_text("a file, not a folder")
    assert run(f"{source} {source} --output out") == 1
    head, *rest = capsys.readouterr().out.splitlines()
    assert "cannot be written: File exists" in head or "cannot be written: Not a directory" in head
    assert int(head.split()[1]) < 50
    assert not any("annotated" in line for line in rest)


def test_a_video_that_cannot_get_its_name_is_an_error(capsys: pytest.CaptureFixture[str]):
    Path("out/clip.mp4").mkdir(parents=True)
    assert run(f"{make_video()} --output out") == 1
    told = capsys.readouterr().out
    assert "out/clip.mp4: cannot be written" in told
    assert "annotated" not in told


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell with ulimit")
@pytest.mark.parametrize("make_source", [make_pictures, make_video])
def test_a_full_disk_is_noticed(make_source: Callable[[], str], here: Path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    write_video(Path("clip.mp4"), [noise] * 20)
    for number in range(20):
        write_picture(Path(f"pics/{number}.png"), noise)
    source = "pics" if make_source is make_pictures else "clip.mp4"
    process = start("run", "model.xml", source, "--output", "out", folder=here, shell="ulimit -f 4")
    out, err = process.communicate()
    assert process.returncode == 1
    assert "cannot be written" in out.splitlines()[0]
    assert "annotated" not in out
    assert err == ""
    assert files("out") == []
