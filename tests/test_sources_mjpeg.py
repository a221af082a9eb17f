import gc
import socket

import anyio
import numpy as np
import pytest
from aiohttp import web
from sources_fixtures import encode, numbered_picture, part, serve_camera

from aiohooks import sources
from aiohooks.errors import FrameError

pytestmark = pytest.mark.anyio

JPEGS = [encode(numbered_picture(number), "JPEG") for number in range(4)]


async def show_all(response: web.StreamResponse) -> None:
    for jpeg in JPEGS:
        await response.write(part(jpeg))


async def show_for_ever(response: web.StreamResponse) -> None:
    while True:
        await show_all(response)


async def show_one_and_hang(response: web.StreamResponse) -> None:
    await response.write(part(JPEGS[0]))
    await anyio.sleep_forever()


async def test_frames_have_the_bytes_they_came_as() -> None:
    async with serve_camera(show_all) as camera:
        source = sources.mjpeg(camera.url)
        for _ in range(2):
            frames = [frame async for frame in source]

            assert [frame.encoded for frame in frames] == JPEGS
            assert [frame.index for frame in frames] == list(range(len(JPEGS)))
            assert np.array_equal(frames[3].image, (await sources.as_frame(JPEGS[3])).image)
            assert (frames[0].name, frames[0].owned) == (camera.url, True)
        assert source.total is None


async def test_passwords_are_sent_and_not_shown() -> None:
    async with serve_camera(show_all) as camera:
        source = sources.mjpeg(
            camera.url.replace("://", "://me:secret@") + "?token=secret", headers={"X-Key": "secret"}
        )
        frame = await anext(frames := aiter(source))
        await frames.aclose()

        assert "secret" not in frame.name + repr(source)
        assert camera.requests[0].headers["Authorization"].startswith("Basic ")
        assert camera.requests[0].headers["X-Key"] == "secret"
        assert camera.requests[0].query == {"token": "secret"}


async def test_a_frame_that_cannot_be_decoded_is_an_error_in_its_place() -> None:
    async def show(response: web.StreamResponse) -> None:
        await response.write(part(JPEGS[0]) + part(JPEGS[1][:-2]) + part(JPEGS[2]))

    async with serve_camera(show) as camera:
        frames = aiter(sources.mjpeg(camera.url))
        await anext(frames)
        with pytest.raises(FrameError, match=f"^{camera.url}: the JPEG picture is cut off"):
            await anext(frames)
        frame = await anext(frames)
        assert (frame.index, frame.encoded) == (2, JPEGS[2])
        with pytest.raises(StopAsyncIteration):
            await anext(frames)


async def test_a_frame_over_the_limits_is_refused() -> None:
    async with serve_camera(show_all) as camera:
        with pytest.raises(FrameError, match="frame 0: a part is larger than 100 bytes"):
            await anext(aiter(sources.mjpeg(camera.url, max_frame_bytes=100)))

        frames = aiter(sources.mjpeg(camera.url, max_pixels=100))
        with pytest.raises(FrameError, match="more than the limit of 100"):
            await anext(frames)
        await frames.aclose()


async def assert_fails_for_good(source: sources.FrameSource, complaint: str) -> None:
    frames = aiter(source)
    with pytest.raises(FrameError, match=complaint) as failure:
        async for _ in frames:
            pass
    assert str(failure.value).startswith(source.name)
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_a_server_that_hangs_is_an_error() -> None:
    async def hang(_: web.StreamResponse) -> None:
        await anyio.sleep_forever()

    for show, index in ((hang, 0), (show_one_and_hang, 1)):
        async with serve_camera(show) as camera:
            await assert_fails_for_good(sources.mjpeg(camera.url, timeout=0.1), f"no frame {index} within 0.1 s")
            await camera.viewer_left.wait()


async def test_a_server_that_breaks_off_inside_a_frame_is_an_error() -> None:
    async def show(response: web.StreamResponse) -> None:
        await response.write(part(JPEGS[0])[:-20])

    async def abort(response: web.StreamResponse) -> None:
        await response.write(part(JPEGS[0])[:-20])
        transport = response._req.transport  # type: ignore[union-attr]  # aiohttp has no other way to reset
        transport.abort()

    async with serve_camera(show) as camera:
        await assert_fails_for_good(sources.mjpeg(camera.url), "frame 0: it closed after")
    async with serve_camera(abort) as camera:
        await assert_fails_for_good(sources.mjpeg(camera.url), "the connection failed")


async def test_what_is_not_such_a_stream_is_an_error() -> None:
    async with serve_camera(show_all, status=404) as camera:
        await assert_fails_for_good(sources.mjpeg(camera.url), "answered 404 Not Found")
    async with serve_camera(show_all, headers={"Content-Type": "text/html"}) as camera:
        await assert_fails_for_good(sources.mjpeg(camera.url), "expected multipart/x-mixed-replace .* got 'text/html'")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await assert_fails_for_good(sources.mjpeg(f"http://127.0.0.1:{port}/"), "the connection failed: Cannot connect")
    with pytest.raises(ValueError, match="got rtsp://camera/; camera takes others"):
        sources.mjpeg("rtsp://me:secret@camera/")


async def test_a_redirect_for_ever_shows_no_secret() -> None:
    async with serve_camera(show_all, status=302, headers={"Location": "/video?token=secret"}) as camera:
        with pytest.raises(FrameError, match="TooManyRedirects") as failure:
            await anext(aiter(sources.mjpeg(camera.url)))

    assert "secret" not in str(failure.value)
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


async def test_a_cancelled_wait_loses_no_frame() -> None:
    go_on = anyio.Event()

    async def show(response: web.StreamResponse) -> None:
        await response.write(part(JPEGS[0]) + part(JPEGS[1])[:-20])
        await go_on.wait()
        await response.write(part(JPEGS[1])[-20:] + part(JPEGS[2]))

    async with serve_camera(show) as camera:
        frames = aiter(sources.mjpeg(camera.url))
        await anext(frames)
        with anyio.move_on_after(0) as scope:
            await anext(frames)
        assert scope.cancelled_caught
        go_on.set()
        assert [frame.encoded async for frame in frames] == JPEGS[1:3]


async def test_a_cancelled_connecting_can_be_tried_again() -> None:
    async with serve_camera(show_all) as camera:
        frames = aiter(sources.mjpeg(camera.url))
        with anyio.move_on_after(0) as scope:
            await anext(frames)
        assert scope.cancelled_caught
        assert len([frame async for frame in frames]) == len(JPEGS)


async def test_closing_early_closes_the_connection() -> None:
    async with serve_camera(show_for_ever) as camera:
        frames = aiter(sources.mjpeg(camera.url))
        await anext(frames)
        await frames.aclose()
        await camera.viewer_left.wait()

        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        await frames.aclose()


async def test_a_loop_left_by_break_closes_the_connection() -> None:
    async with serve_camera(show_for_ever) as camera:
        gc.disable()
        try:
            async for _ in sources.mjpeg(camera.url):
                break
            await camera.viewer_left.wait()
        finally:
            gc.enable()
