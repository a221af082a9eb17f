import gc
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from aiohttp import web
from sources_fixtures import (
    encode,
    join_source_threads,
    number_of,
    numbered_picture,
    part,
    serve_camera,
    source_threads,
)

from aiohooks import sources
from aiohooks.errors import FrameError

pytestmark = pytest.mark.anyio

PARTS = [part(encode(numbered_picture(number), "JPEG")) for number in range(12)]


async def show_all(response: web.StreamResponse) -> None:
    await response.write(b"".join(PARTS))


async def show_all_and_hang(response: web.StreamResponse) -> None:
    await show_all(response)
    await anyio.sleep_forever()


async def show_for_ever(response: web.StreamResponse) -> None:
    while True:
        await show_all(response)


async def hang(_: web.StreamResponse) -> None:
    await anyio.sleep_forever()


async def camera_thread_ended() -> None:
    for thread in source_threads():
        if thread.name == "aiohooks-camera":
            await anyio.to_thread.run_sync(thread.join)


async def test_every_frame_is_given_if_that_is_asked_for() -> None:
    async with serve_camera(show_all) as camera:
        source = sources.camera(camera.url, latest=False)
        frames = aiter(source)
        for number in range(len(PARTS)):
            frame = await anext(frames)
            assert (frame.index, number_of(frame.image), frame.name) == (number, number, camera.url)
            assert frame.timestamp.tzinfo is not None

        with pytest.raises(FrameError, match=f"{camera.url}: no more frames after {len(PARTS)}"):
            await anext(frames)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        assert source_threads() == []
        assert source.dropped == 0


async def test_only_the_newest_frame_is_kept_and_the_others_are_counted() -> None:
    more = anyio.Event()

    async def show(response: web.StreamResponse) -> None:
        await response.write(b"".join(PARTS[:6]))
        await more.wait()
        await response.write(b"".join(PARTS[6:]))

    async with serve_camera(show) as camera:
        source = sources.camera(camera.url)
        frames = aiter(source)
        first = await anext(frames)
        assert first.index == number_of(first.image) < 6

        more.set()
        await camera_thread_ended()
        newest = await anext(frames)
        assert newest.index == number_of(newest.image) == len(PARTS) - 1
        assert first.timestamp < newest.timestamp
        assert source.dropped == len(PARTS) - 2

        with pytest.raises(FrameError, match="no more frames after 12"):
            await anext(frames)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        assert source_threads() == []


@pytest.mark.parametrize("latest", [False, True])
async def test_a_camera_that_is_not_there_is_an_error(latest: bool, tmp_path: Path) -> None:
    for device in (str(tmp_path / "video9"), "rtsp://me:secret@127.0.0.1:1/live?key=secret"):
        source = sources.camera(device, latest=latest, timeout=5)
        frames = aiter(source)
        with pytest.raises(FrameError, match=r"(video9|live): cannot be opened") as failure:
            await anext(frames)
        assert "secret" not in str(failure.value) + repr(source)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
    assert source_threads() == []


@pytest.mark.parametrize("latest", [False, True])
async def test_a_silent_camera_is_an_error_after_its_timeout(latest: bool) -> None:
    async with serve_camera(hang) as camera:
        with pytest.raises(FrameError, match="cannot be opened"):
            await anext(aiter(sources.camera(camera.url, latest=latest, timeout=0.2)))

    async with serve_camera(show_all_and_hang) as camera:
        with pytest.raises(FrameError, match="no more frames after"):
            async for _ in sources.camera(camera.url, latest=latest, timeout=0.5):
                pass


@pytest.mark.parametrize("latest", [False, True])
async def test_closing_while_a_frame_is_awaited_leaves_nothing(latest: bool) -> None:
    async with serve_camera(show_all_and_hang) as camera:
        frames = aiter(sources.camera(camera.url, latest=latest, timeout=0.5))
        await anext(frames)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_frames, frames)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await frames.aclose()
        assert source_threads() == []


async def wait_for_frames(frames: sources.FrameIterator) -> None:
    async for _ in frames:
        pass


async def test_a_camera_that_was_never_read_can_be_closed() -> None:
    await aiter(sources.camera(0)).aclose()
    assert source_threads() == []


@pytest.mark.parametrize("latest", [False, True])
async def test_a_loop_left_by_break_lets_threads_go_though_the_camera_goes_on(latest: bool) -> None:
    async with serve_camera(show_for_ever) as camera:
        gc.disable()
        try:
            async for _ in sources.camera(camera.url, latest=latest):
                break
            await anyio.to_thread.run_sync(join_source_threads)
        finally:
            gc.enable()


@pytest.mark.parametrize("latest", [False, True])
async def test_closing_stops_a_camera_that_goes_on(latest: bool) -> None:
    async with serve_camera(show_for_ever) as camera:
        frames = aiter(sources.camera(camera.url, latest=latest))
        await anext(frames)
        await frames.aclose()
        assert source_threads() == []
        await camera.viewer_left.wait()


async def test_a_program_can_end_without_closing_a_camera_that_goes_on() -> None:
    program = """
import asyncio, sys
from aiohooks import sources

async def main():
    global frames
    frames = aiter(sources.camera(sys.argv[1]))
    await anext(frames)

asyncio.run(main())
"""
    async with serve_camera(show_for_ever) as camera:
        with anyio.fail_after(60):
            await anyio.run_process([sys.executable, "-c", program, camera.url])  # raises if it ends badly


def test_a_device_is_named_by_its_number() -> None:
    assert repr(sources.camera(3)) == "FrameSource('camera 3')"
