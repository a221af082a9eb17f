import gc
import os
import struct
from pathlib import Path
from typing import Any

import anyio.to_thread
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources_fixtures import (
    files_open_in,
    join_source_threads,
    needs_proc,
    number_of,
    numbered_picture,
    source_threads,
    write_video,
)

from aiohooks import sources
from aiohooks.errors import FrameError

pytestmark = pytest.mark.anyio

FRAMES = 60
FRAME_BYTES = numbered_picture(0).nbytes


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of predicted frames: one key frame in twelve."""
    return write_video(tmp_path_factory.mktemp("video") / "numbers.mp4", FRAMES)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("aiohooks.sources.videos.CHUNK_BYTES", 7 * FRAME_BYTES)
    return 7


async def numbers(source: sources.FrameSource) -> list[int]:
    """Numbers of the frames, which their pixels and their indices agree on."""
    seen = []
    async for frame in source:
        assert frame.index == number_of(frame.image)
        seen.append(frame.index)
    assert source_threads() == []
    return seen


async def test_a_video_is_its_frames(mp4: Path) -> None:
    source = sources.video(mp4)
    assert source.total is None
    assert await numbers(source) == list(range(FRAMES))
    assert source.total == FRAMES

    frame = await anext(aiter(source))
    assert (frame.name, frame.encoded, frame.owned) == ("numbers.mp4_000000", None, True)


async def test_frames_have_the_pixels_that_opencv_decodes(mp4: Path) -> None:
    capture = cv2.VideoCapture(str(mp4))
    async for frame in sources.video(mp4):
        _, expected = capture.read()
        assert np.array_equal(frame.image, expected[..., ::-1])
    assert not capture.read()[0]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_range_of_a_video_is_that_range_of_its_frames_either_way(
    mp4: Path, small_chunks: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, FRAMES - 1))
    end = data.draw(st.none() | st.integers(start + 1, FRAMES + 9))
    stride = data.draw(st.integers(1, FRAMES + 9))
    expected = list(range(FRAMES))[start:end:stride]

    forwards = sources.video(mp4, start=start, end=end, stride=stride)
    assert anyio.run(numbers, forwards) == expected
    backwards = sources.video(mp4, start=start, end=end, stride=stride, backwards=True)
    assert anyio.run(numbers, backwards) == expected[::-1]
    assert forwards.total == backwards.total == len(expected)


def with_durations(video: bytes, runs: list[tuple[int, float]]) -> bytes:
    """Change how long the frames of an MP4 last: runs of so many frames with that multiple of their duration.

    That is its ``stts`` box (ISO/IEC 14496-12 §8.6.1.2). The whole must last as long as before, and the index be
    behind the pixels, where OpenCV writes it, so that growing it moves no offset.
    """
    assert sum(count for count, _ in runs) == sum(count * factor for count, factor in runs) == FRAMES
    place = video.index(b"stts") - 4
    assert video.index(b"mdat") < place
    *_, count, duration = struct.unpack(">I4sIIII", video[place : place + 24])
    assert count == FRAMES
    table = b"".join(struct.pack(">II", count, int(duration * factor)) for count, factor in runs)
    changed = bytearray(
        video[:place] + struct.pack(">I4sII", 16 + len(table), b"stts", 0, len(runs)) + table + video[place + 24 :]
    )
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        size_at = video.index(box) - 4
        size = int.from_bytes(changed[size_at : size_at + 4], "big") + len(changed) - len(video)
        changed[size_at : size_at + 4] = size.to_bytes(4, "big")
    return bytes(changed)


@pytest.fixture(
    params=[
        pytest.param([(40, 0.5), (20, 2)], id="faster then slower"),
        pytest.param([(20, 1), (20, 0), (20, 2)], id="times that repeat"),
    ]
)
def varying(mp4: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "varying.mp4"
    path.write_bytes(with_durations(mp4.read_bytes(), request.param))
    return path


def jump(video: Path, place: int) -> int:
    capture = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_POS_FRAMES, place)
    decoded, pixels = capture.read()
    return number_of(pixels) if decoded else -1


async def test_frames_are_exact_where_the_frame_rate_varies(varying: Path, small_chunks: int) -> None:
    places = list(range(0, FRAMES, 6))
    assert [jump(varying, place) for place in places] != places, "this video proves nothing: OpenCV finds its frames"

    assert await numbers(sources.video(varying, start=30)) == list(range(30, FRAMES))
    assert await numbers(sources.video(varying, backwards=True)) == list(range(FRAMES))[::-1]


@needs_proc
@pytest.mark.parametrize("backwards", [False, True])
async def test_a_loop_left_by_break_lets_threads_and_file_go(mp4: Path, backwards: bool) -> None:
    gc.disable()
    try:
        async for _ in sources.video(mp4, backwards=backwards):
            assert files_open_in(mp4.parent) == [str(mp4)]
            break
        await anyio.to_thread.run_sync(join_source_threads)
        assert files_open_in(mp4.parent) == []
    finally:
        gc.enable()


@needs_proc
async def test_closing_early_lets_the_file_go(mp4: Path) -> None:
    frames = aiter(sources.video(mp4))
    await anext(frames)
    await frames.aclose()

    assert source_threads() == []
    assert files_open_in(mp4.parent) == []


@pytest.fixture
def half(mp4: Path, tmp_path: Path) -> Path:
    path = tmp_path / "half.mp4"
    path.write_bytes(mp4.read_bytes()[:5000])  # its index is at the end
    return path


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_video_that_cannot_be_read_is_one_error(mp4: Path, half: Path, tmp_path: Path, backwards: bool) -> None:
    (tmp_path / "text.mp4").write_text("Dear reader")
    for path, options, complaint in [
        (tmp_path / "none.mp4", {}, "No such file"),
        (tmp_path, {}, "it is a folder"),
        (tmp_path / "text.mp4", {}, "not a video"),
        (half, {}, "cut off"),
        (mp4, {"start": FRAMES}, f"it has {FRAMES} frames, it ends before start={FRAMES}"),
        (mp4, {"max_pixels": 6143}, "96×64 pixels are more than the limit of 6,143"),
    ]:
        frames = aiter(sources.video(path, backwards=backwards, **options))
        with pytest.raises(FrameError, match=complaint) as failure:
            await anext(frames)
        assert str(path) in str(failure.value)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("end", [None, FRAMES])
async def test_a_video_that_is_cut_off_ends_with_an_error(tmp_path: Path, backwards: bool, end: int | None) -> None:
    whole = write_video(tmp_path / "whole.avi", FRAMES, codec="MJPG").read_bytes()
    half = tmp_path / "half.avi"
    half.write_bytes(whole[: len(whole) // 2])
    seen: list[int] = []

    with pytest.raises(FrameError, match=r"cut off, it ends with .. frames"):
        async for frame in sources.video(half, end=end, backwards=backwards):
            seen.append(number_of(frame.image))

    assert 0 < len(seen) < FRAMES
    in_order = seen[::-1] if backwards else seen
    assert in_order[:-1] == list(range(len(seen) - 1)), "only the frame at the cut may be damaged"
    assert await numbers(sources.video(half, end=5, backwards=backwards)) == sorted(range(5), reverse=backwards)


async def test_a_file_that_vanishes_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 5, codec="MJPG")
    frames = aiter(sources.video(path, read_ahead=0))
    await anext(frames)
    path.unlink()

    with pytest.raises(FrameError, match=r"a\.avi: cannot be read: No such file"):
        async for _ in frames:
            pass


async def test_a_file_that_shrinks_while_it_is_read_backwards_is_an_error(tmp_path: Path, small_chunks: int) -> None:
    path = write_video(tmp_path / "a.avi", FRAMES, codec="MJPG")
    frames = aiter(sources.video(path, backwards=True, read_ahead=0))
    await anext(frames)
    os.truncate(path, 1000)

    with pytest.raises(FrameError, match=r"frame .* cannot be decoded a second time"):
        async for _ in frames:
            pass


@pytest.mark.parametrize("options", [{"start": -1}, {"stride": 0}, {"start": 5, "end": 5}])
def test_a_range_without_frames_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected 0 <= start < end"):
        sources.video("a.mp4", **options)
