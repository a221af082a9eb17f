"""What FileSystemDataCollection leaves in its folder, whatever happens."""

import json
import logging
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiohooks.errors import ActionError, SpecError
from aiohooks.file_name import MAX_BYTES, safe_name
from aiohooks.frame import Frame
from aiohooks.hooks.actions import FileSystemDataCollection
from aiohooks.hooks.event import HookEvent
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio

NOON = datetime(2025, 1, 31, 12, 0, 0, 42, UTC)
NOISE = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
DOG = Prediction.detection((48, 64), ["cat", "dog"], [[4, 5, 30, 40]], [0.9], ["dog"])


def event(image: Any = NOISE, *, name: str = "cam", encoded: bytes | None = None, at: datetime = NOON) -> HookEvent:
    return HookEvent(Frame(image, name=name, encoded=encoded), DOG, score=0.625, hook="dogs", triggered_at=at)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def content(path: str | None) -> bytes:
    assert path is not None
    return Path(path).read_bytes()


def rgb(path: str | None) -> Any:
    pixels: Any = cv2.imdecode(np.frombuffer(content(path), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


async def test_an_event_becomes_four_files_of_one_stem_in_geti_s_layout(tmp_path: Path) -> None:
    stored = await FileSystemDataCollection(tmp_path / "a" / "b", file_name_prefix="front_")(event())
    stem = "front_cam_20250131T12-00-00-000042"
    assert files(tmp_path / "a" / "b") == [
        f"images/{stem}.png", f"overlays/{stem}.jpg", f"predictions/{stem}.json", f"scores/{stem}.txt",
    ]  # fmt: skip
    np.testing.assert_array_equal(rgb(stored.image), NOISE)
    assert json.loads(content(stored.prediction)) == DOG.to_geti()
    assert content(stored.score) == b"0.625"
    drawn = rgb(stored.overlay).astype(int)
    assert drawn.shape == NOISE.shape
    assert np.abs(drawn - DOG.draw(NOISE)).mean() < np.abs(drawn - NOISE).mean()


async def test_what_is_not_wanted_is_not_written(tmp_path: Path) -> None:
    collect = FileSystemDataCollection(tmp_path, save_predictions=False, save_scores=False, save_overlays=False)
    stored = await collect(event())
    assert files(tmp_path) == [f"images/{Path(stored.image).name}"]
    assert (stored.prediction, stored.score, stored.overlay) == (None, None, None)


@pytest.mark.parametrize(
    ("extension", "suffix"),
    [(".png", ".png"), (".jpg", ".jpg"), (".webp", ".webp"), (".bmp", ".bmp"), (".tiff", ".tif")],
)
async def test_a_frame_with_its_encoded_bytes_is_stored_as_these(tmp_path: Path, extension: str, suffix: str) -> None:
    data = cv2.imencode(extension, NOISE)[1].tobytes()
    stored = await FileSystemDataCollection(tmp_path, save_overlays=False)(event(encoded=data))
    assert stored.image.endswith(f"000042{suffix}")
    assert content(stored.image) == data


async def test_a_gif_keeps_its_suffix_and_bytes_of_an_unknown_kind_are_not_trusted(tmp_path: Path) -> None:
    collect = FileSystemDataCollection(tmp_path, save_overlays=False)
    assert (await collect(event(encoded=b"GIF89a..."))).image.endswith(".gif")
    stored = await collect(event(encoded=b"<script>", name="other"))
    np.testing.assert_array_equal(rgb(stored.image), NOISE)


async def test_other_frames_are_encoded_as_asked(tmp_path: Path) -> None:
    sizes = {}
    for quality in (10, 95):
        collect = FileSystemDataCollection(tmp_path / str(quality), image_format="jpeg", jpeg_quality=quality)
        stored = await collect(event())
        assert stored.image.endswith(".jpg")
        assert content(stored.image).startswith(b"\xff\xd8\xff")
        sizes[quality] = len(content(stored.image)), len(content(stored.overlay))
    assert all(low < high for low, high in zip(sizes[10], sizes[95], strict=True))


async def test_the_time_in_the_name_is_utc(tmp_path: Path) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    stored = await FileSystemDataCollection(tmp_path)(event(at=there))
    assert "cam_20250131T12-00-00-000042" in stored.image


async def test_events_of_the_same_name_and_microsecond_do_not_overwrite_each_other(tmp_path: Path) -> None:
    collect = FileSystemDataCollection(tmp_path, save_overlays=False)
    stored: list[tuple[int, str]] = []

    async def store(i: int, encoded: bytes | None) -> None:
        stored.append((i, (await collect(event(np.full((48, 64, 3), i, np.uint8), encoded=encoded))).image))

    async with anyio.create_task_group() as group:
        for i in range(20):
            pixels = np.full((48, 64, 3), i, np.uint8)
            group.start_soon(store, i, cv2.imencode(".bmp", pixels)[1].tobytes() if i % 2 else None)
    assert {i: int(rgb(path)[0, 0, 0]) for i, path in stored} == {i: i for i in range(20)}
    stems = {f"cam_20250131T12-00-00-000042{number}" for number in ("", *(f"_{i}" for i in range(2, 21)))}
    assert {Path(path).stem for _, path in stored} == stems
    written = files(tmp_path)
    assert len(written) == 60
    assert {path.removeprefix("predictions/").removesuffix(".json") for path in written} >= stems


class Watched:
    """A prediction that looks at the folder while it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[list[str]] = []

    def to_geti(self) -> dict[str, Any]:
        self.seen.append(files(self.folder / "images"))
        return {}

    def draw(self, frame: Frame) -> Any:
        self.seen.append(files(self.folder / "images"))
        return frame.image


async def test_the_picture_comes_after_its_other_files(tmp_path: Path) -> None:
    watched: Any = Watched(tmp_path)
    await FileSystemDataCollection(tmp_path)(HookEvent(event().frame, watched, triggered_at=NOON))
    assert watched.seen == [[".cam_20250131T12-00-00-000042.part"]] * 2
    assert "images/cam_20250131T12-00-00-000042.png" in files(tmp_path)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to write more than this into one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 2, 64, 2000])
async def test_a_write_that_the_disk_refuses_leaves_nothing_of_the_event(tmp_path: Path, size: int) -> None:
    collect = FileSystemDataCollection(tmp_path, file_name_prefix="../")
    before = (await collect(event())).image
    with largest_file(size), pytest.raises(ActionError, match=r"'cam' cannot be stored in .*File too large"):
        await collect(event())
    assert len(files(tmp_path)) == 4
    assert (await collect(event())).image == before.replace(".png", "_2.png")


async def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ActionError, match=r"cannot be stored in .*taken: .*(Not a directory|File exists)"):
        await FileSystemDataCollection(tmp_path / "taken")(event())
    with pytest.raises(ActionError, match=r"null (byte|character)"):
        await FileSystemDataCollection("nul\0")(event())


async def test_a_picture_that_cannot_be_encoded_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    collect = FileSystemDataCollection(tmp_path, image_format="jpeg", save_overlays=False)
    with pytest.raises(ActionError, match=r"a picture of 70000×1 pixels cannot be encoded as \.jpg"):
        await collect(event(np.zeros((1, 70000, 3), np.uint8)))
    assert files(tmp_path) == []


async def test_a_prediction_about_another_picture_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match="cannot be stored in"):
        await FileSystemDataCollection(tmp_path)(event(np.zeros((9, 9, 3), np.uint8)))
    assert files(tmp_path) == []


class Held:
    """A prediction whose drawing waits until it is told to go on."""

    def __init__(self) -> None:
        self.drawing = anyio.Event()
        self.go_on = threading.Event()

    def to_geti(self) -> dict[str, Any]:
        return {}

    def draw(self, frame: Frame) -> Any:
        anyio.from_thread.run_sync(self.drawing.set)
        assert self.go_on.wait(10)
        return frame.image


async def test_a_cancelled_event_leaves_nothing(tmp_path: Path) -> None:
    held: Any = Held()
    collect = FileSystemDataCollection(tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(collect, HookEvent(event().frame, held, triggered_at=NOON))
        await held.drawing.wait()
        assert len(files(tmp_path)) == 3
        group.cancel_scope.cancel()
        held.go_on.set()
    assert files(tmp_path) == []
    assert (await collect(event())).image.endswith("000042.png")


async def test_the_event_loop_goes_on_while_files_are_written(tmp_path: Path) -> None:
    held: Any = Held()
    async with anyio.create_task_group() as group:
        group.start_soon(FileSystemDataCollection(tmp_path), HookEvent(event().frame, held, triggered_at=NOON))
        await held.drawing.wait()  # the loop runs although the drawing does not return
        held.go_on.set()
    assert len(files(tmp_path)) == 4


NASTY = ["", ".", "..", "../../x", "/etc/passwd", "a/b\\c", "nul\0byte", "CON", "con.txt", "LPT¹.a", ".hidden", "x" * 5000, "é" * 300,
         "猫と犬", "🐕", "\ud800", "a\nb", "\x1b[31m", "C:\\x", "a\u2028b", " . ", "%2e%2e/", "~", "-rf"]  # fmt: skip


@given(prefix=st.text() | st.sampled_from(NASTY), name=st.text() | st.sampled_from(NASTY))
@example(prefix="../", name="../../x")
@example(prefix="/", name="etc/passwd")
@settings(deadline=None, max_examples=60)
def test_no_name_leads_out_of_the_folder(prefix: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "target"
        collect = FileSystemDataCollection(folder, file_name_prefix=prefix, save_overlays=False, save_scores=False)
        anyio.run(collect, event(np.zeros((48, 64, 3), np.uint8), name=name))
        image, prediction = files(Path(parent))
        assert image.startswith("target/images/")
        assert image.endswith("_20250131T12-00-00-000042.png")
        assert prediction == image.replace("/images/", "/predictions/").replace(".png", ".json")


@given(st.text() | st.sampled_from(NASTY) | st.text("/\\.:CONnul\0 "))
def test_safe_names_are_valid_everywhere_and_stay_as_they_are(text: str) -> None:
    name = safe_name(text)
    assert not set(name) & set('/\\:*?"<>|\0\n\x1b')
    assert not name.startswith(".")
    assert len(name.encode()) <= MAX_BYTES
    assert name.split(".")[0].strip().upper() not in {"CON", "NUL", "LPT1", "COM9"}
    assert safe_name(name) == name
    assert (not name) == (not text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("front door.jpg", "front door.jpg"), ("猫/犬", "猫_犬"), ("../x", "_._x"), ("nul.txt", "_nul.txt"), ("Größe", "Größe"), ("\ud800", "_")],
)  # fmt: skip
def test_safe_names_stay_readable(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_safe_names_are_as_short_as_wanted() -> None:
    assert safe_name("x" * 30, 20) == "x" * 20
    assert safe_name("猫" * 30, 20) == "猫" * 6
    assert safe_name("nul", 3) == "_nu"


async def test_what_was_stored_is_logged_at_the_level_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiohooks.hooks")
    await FileSystemDataCollection(tmp_path)(event())
    assert caplog.records == []
    stored = await FileSystemDataCollection(tmp_path, log_level="warning")(event())
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("WARNING", f"hook dogs: stored {stored.image}")]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"target_folder": ""}, "target_folder: .*length >= 1"),
        ({"target_folder": 3}, "target_folder: Expected str, got int"),
        ({"target_folder": "x", "jpeg_quality": 0}, "jpeg_quality: .*>= 1, got 0"),
        ({"target_folder": "x", "image_format": "gif"}, "image_format: .*'gif'; expected png or jpeg"),
        ({"target_folder": "x", "log_level": "loud"}, "log_level: .*'loud'; expected debug or info"),
        ({"target_folder": "x", "save_scores": "no"}, "save_scores: Expected bool, got str"),
    ],
)
def test_wrong_parameters_are_refused_where_they_are_given(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=f"FileSystemDataCollection.{problem}"):
        FileSystemDataCollection(**parameters)


def test_a_path_is_kept_as_text(tmp_path: Path) -> None:
    assert msgspec.to_builtins(FileSystemDataCollection(tmp_path))["target_folder"] == str(tmp_path)


async def test_the_score_file_of_a_combination_has_the_parts(tmp_path: Path) -> None:
    parts = {"LabelTrigger": 1.0, "ConfidenceTrigger": 0.3}
    stored = await FileSystemDataCollection(tmp_path)(replace(event(), score=1.0, scores=parts))
    assert content(stored.score).decode().splitlines() == ["1.0", "LabelTrigger: 1.0", "ConfidenceTrigger: 0.3"]


@pytest.mark.parametrize(
    ("name", "stem"), [("brick.PNG", "brick"), ("in.mp4_000012", "in.mp4_000012"), ("v1.2", "v1.2")]
)
async def test_the_suffix_of_a_picture_is_not_kept_in_the_middle(tmp_path: Path, name: str, stem: str) -> None:
    stored = await FileSystemDataCollection(tmp_path)(event(name=name))
    assert Path(str(stored.image)).name == f"{stem}_20250131T12-00-00-000042.png"
