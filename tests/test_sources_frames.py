import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest
from sources_fixtures import encode, smooth_picture, source_threads, write_video

from aiohooks import sources
from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources.iterator_reader import NOT_YET, IteratorReader
from aiohooks.sources.read_ahead import ReadAhead

pytestmark = pytest.mark.anyio

RGB = smooth_picture()
PNG = encode(RGB, "PNG")


async def read(pictures: Any) -> list[int | str]:
    """Indices of the frames; for those that cannot be read, what the error names."""
    frames = sources.frames(pictures)
    seen: list[int | str] = []
    while True:
        try:
            seen.append((await anext(frames)).index)
        except FrameError as error:
            seen.append(str(error).partition(":")[0])
        except StopAsyncIteration:
            assert source_threads() == []
            return seen


async def arriving(*pictures: Any) -> AsyncIterator[Any]:
    for picture in pictures:
        yield picture


@pytest.mark.parametrize(
    "pictures",
    [
        pytest.param(lambda: [RGB, b"", PNG], id="list"),
        pytest.param(lambda: (PNG, b"", RGB), id="tuple that begins encoded"),
        pytest.param(lambda: [RGB, None, RGB], id="list with None"),
        pytest.param(lambda: (picture for picture in (RGB, b"", PNG)), id="generator"),
        pytest.param(lambda: {1: PNG, 2: b"", 3: RGB}.values(), id="iterable"),
        pytest.param(lambda: arriving(RGB, b"", PNG), id="async generator"),
        pytest.param(lambda: arriving(RGB, None, PNG), id="async generator with None"),
        pytest.param(lambda: sources.images(RGB, b"", PNG), id="source"),
        pytest.param(lambda: aiter(sources.images(RGB, b"", PNG)), id="iterator of a source"),
    ],
)
async def test_any_iterable_gives_its_frames_and_goes_on_behind_an_unreadable_one(pictures: Callable[[], Any]) -> None:
    assert await read(pictures()) == [0, "picture 1", 2]


@pytest.mark.parametrize("picture", [RGB, PNG, bytearray(PNG), memoryview(PNG), Frame(RGB)])
async def test_one_picture_is_one_frame(picture: Any) -> None:
    assert await read(picture) == [0]


async def test_a_batch_is_its_pictures() -> None:
    assert await read(np.stack([RGB, RGB, RGB])) == [0, 1, 2]


async def test_nothing_is_no_frames() -> None:
    assert await read([]) == []


async def test_a_path_is_a_picture_a_folder_or_a_video(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG)
    write_video(tmp_path / "c.avi", 3, codec="MJPG")

    assert await read(tmp_path / "a.png") == [0]
    assert await read(str(tmp_path)) == [0, 1]
    assert await read(tmp_path / "c.avi") == [0, 1, 2]
    assert await read([tmp_path / "a.png", str(tmp_path / "b.png")]) == [0, 1]
    assert await read(tmp_path / "none.png") == [str(tmp_path / "none.png")]


async def test_what_holds_no_pictures_is_an_error() -> None:
    with pytest.raises(FrameError, match="no frames in int"):
        sources.frames(5)  # type: ignore[arg-type]  # that is the point


async def test_pixels_at_hand_are_not_copied_and_need_no_thread() -> None:
    before = threading.active_count()
    async for frame in sources.frames([RGB, RGB]):
        assert frame.image is RGB
        assert threading.active_count() == before


async def test_a_generator_runs_in_one_worker_thread_and_is_closed() -> None:
    ran_in: set[threading.Thread] = set()
    closed_in: list[threading.Thread] = []

    def pictures() -> Iterator[Any]:
        try:
            while True:
                ran_in.add(threading.current_thread())
                yield RGB
        finally:
            closed_in.append(threading.current_thread())

    generator = pictures()
    frames = sources.frames(generator)
    for _ in range(5):
        await anext(frames)
    await frames.aclose()

    assert len(ran_in) == len(closed_in) == 1
    assert threading.main_thread() not in {*ran_in, *closed_in}
    assert source_threads() == []
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_a_search_for_the_next_frame_can_be_closed() -> None:
    searching = threading.Event()

    def search() -> Iterator[Any]:
        while True:
            yield NOT_YET
            searching.set()

    frames = ReadAhead(IteratorReader(search()), ahead=2)
    with anyio.move_on_after(0):
        await anext(frames)
    await anyio.to_thread.run_sync(searching.wait, 30)
    await frames.aclose()

    assert source_threads() == []


async def test_an_error_of_a_generator_is_its_own() -> None:
    def pictures() -> Iterator[Any]:
        yield RGB
        raise ZeroDivisionError

    frames = sources.frames(pictures())
    await anext(frames)
    with pytest.raises(ZeroDivisionError):
        await anext(frames)
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_a_generator_is_read_no_further_than_asked() -> None:
    asked = []

    def pictures() -> Iterator[Any]:
        for index in range(9):
            asked.append(index)
            yield RGB

    frames = sources.frames(pictures())
    await anext(frames)
    await anext(frames)
    await frames.aclose()

    assert asked == [0, 1]


async def test_an_async_generator_is_closed() -> None:
    closed = []

    async def pictures() -> AsyncIterator[Any]:
        try:
            yield RGB
        finally:
            closed.append(True)

    frames = sources.frames(pictures())
    await anext(frames)
    await frames.aclose()

    assert closed == [True]


async def test_closing_a_list_is_nothing() -> None:
    frames = sources.frames([RGB, RGB])
    await anext(frames)
    await frames.aclose()


async def test_a_cancelled_decoding_loses_no_picture() -> None:
    frames = sources.frames(arriving(RGB, PNG, RGB))
    await anext(frames)

    threads = anyio.to_thread.current_default_thread_limiter()
    threads.total_tokens = 1
    await threads.acquire_on_behalf_of(frames)  # the picture has to wait for a thread
    with anyio.move_on_after(0) as scope:
        await anext(frames)
    threads.release_on_behalf_of(frames)

    assert scope.cancelled_caught
    assert [frame.index async for frame in frames] == [1, 2]
