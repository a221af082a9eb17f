import asyncio
import gc
import logging
import threading
import weakref
from collections import defaultdict

import anyio
import anyio.to_thread
import pytest
from sources_fixtures import join_source_threads, numbered_picture, source_threads

from aiohooks.errors import FrameError
from aiohooks.frame import Frame
from aiohooks.sources import read_ahead
from aiohooks.sources.read_ahead import ReadAhead

pytestmark = pytest.mark.anyio


class GatedReader:
    """Reads ``total`` frames; each position waits for its gate, if it has one."""

    def __init__(self, total: int, *, gated: tuple[int, ...] = (), unreadable: tuple[int, ...] = ()) -> None:
        self.total = total
        self.unreadable = unreadable
        self.gates = {index: threading.Event() for index in gated}
        self.begun = defaultdict[int, threading.Event](threading.Event)
        self.finished = defaultdict[int, threading.Event](threading.Event)
        self.asked: list[int] = []
        self.closed_in = ""

    def read(self, index: int) -> Frame | None:
        self.asked.append(index)
        self.begun[index].set()
        if index in self.gates:
            assert self.gates[index].wait(timeout=30)
        try:
            if index in self.unreadable:
                raise FrameError(f"frame {index} cannot be read")
            if index >= self.total:
                return None
            return Frame(numbered_picture(index), index=index)
        finally:
            self.finished[index].set()

    def close(self) -> None:
        for index in list(self.begun):
            assert self.finished[index].wait(timeout=30)
        self.closed_in = threading.current_thread().name


async def happened(event: threading.Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, 30)


async def test_frames_come_in_order_though_later_ones_are_ready_first() -> None:
    reader = GatedReader(6, gated=(0, 2))
    frames = ReadAhead(reader, ahead=3, workers=4)

    async def open_gates() -> None:
        await happened(reader.finished[3])
        reader.gates[2].set()
        await happened(reader.finished[2])
        reader.gates[0].set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(open_gates)
        assert [frame.index async for frame in frames] == list(range(6))


@pytest.mark.parametrize("ahead", [0, 1, 4])
async def test_no_frame_is_read_further_ahead_than_told(ahead: int) -> None:
    reader = GatedReader(20)
    frames = ReadAhead(reader, ahead=ahead, workers=4)

    for index in range(10):
        assert (await anext(frames)).index == index
        await happened(reader.finished[index + ahead])
        assert sorted(reader.asked) == list(range(index + ahead + 1))

    await frames.aclose()


async def test_an_unreadable_frame_is_an_error_in_its_place() -> None:
    frames = ReadAhead(GatedReader(4, unreadable=(0, 2)), ahead=2, workers=2)
    seen: list[int | str] = []
    while True:
        try:
            seen.append((await anext(frames)).index)
        except FrameError as error:
            seen.append(str(error))
        except StopAsyncIteration:
            break

    assert seen == ["frame 0 cannot be read", 1, "frame 2 cannot be read", 3]


async def test_an_error_is_not_also_logged_as_one_that_nobody_saw(caplog: pytest.LogCaptureFixture) -> None:
    reader = GatedReader(1, gated=(0,), unreadable=(0,))
    frames = ReadAhead(reader, ahead=0)
    with anyio.move_on_after(0):
        await anext(frames)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, reader.gates[0].set)
        with pytest.raises(FrameError):
            await anext(frames)
    await frames.aclose()
    gc.collect()

    assert caplog.text == ""


async def test_a_cancelled_wait_loses_no_frame() -> None:
    reader = GatedReader(3, gated=(0,))
    frames = ReadAhead(reader, ahead=1)

    with anyio.move_on_after(0):
        await anext(frames)
    reader.gates[0].set()

    assert [frame.index async for frame in frames] == [0, 1, 2]


async def test_a_loop_that_ends_leaves_nothing() -> None:
    reader = GatedReader(3)
    frames = ReadAhead(reader, ahead=2, workers=2)

    assert len([frame async for frame in frames]) == 3

    assert source_threads() == []
    assert reader.closed_in
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_closing_waits_for_the_read_that_runs_and_drops_those_that_do_not() -> None:
    reader = GatedReader(9, gated=(1,))
    frames = ReadAhead(reader, ahead=5)
    await anext(frames)
    await happened(reader.begun[1])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(frames.aclose)
        await anyio.wait_all_tasks_blocked()
        assert source_threads()
        reader.gates[1].set()

    assert source_threads() == []
    assert reader.asked == [0, 1]
    assert reader.closed_in.startswith("AnyIO worker thread")
    await frames.aclose()


async def test_closing_ends_a_wait_in_another_task() -> None:
    reader = GatedReader(9, gated=(0,))
    frames = ReadAhead(reader, ahead=1)
    ended = anyio.Event()

    async def wait() -> None:
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await happened(reader.begun[0])
        tasks.start_soon(frames.aclose)
        await anyio.wait_all_tasks_blocked()
        reader.gates[0].set()
        await ended.wait()
    assert source_threads() == []


async def test_closing_leaves_a_read_behind_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(read_ahead, "CLOSE_SECONDS", 0.01)
    reader = GatedReader(9, gated=(0,))
    frames = ReadAhead(reader, ahead=0)
    with anyio.move_on_after(0):
        await anext(frames)
    await happened(reader.begun[0])

    with caplog.at_level(logging.WARNING, "aiohooks.sources"):
        await frames.aclose()

    assert "left behind" in caplog.text
    reader.gates[0].set()
    join_source_threads()


async def test_a_reader_that_cannot_be_closed_leaves_no_thread() -> None:
    class Unclosable(GatedReader):
        def close(self) -> None:
            raise OSError("unplugged")

    frames = ReadAhead(Unclosable(5), ahead=1)
    await anext(frames)

    with pytest.raises(OSError, match="unplugged"):
        await frames.aclose()
    assert source_threads() == []


@pytest.mark.parametrize("unreadable", [(), (1,)])
async def test_a_loop_left_early_lets_threads_and_reader_go_without_the_garbage_collector(
    unreadable: tuple[int, ...],
) -> None:
    gc.disable()
    try:
        reader = weakref.ref(kept := GatedReader(9, unreadable=unreadable))
        frames = ReadAhead(kept, ahead=3, workers=2)
        del kept
        with pytest.raises(FrameError) if unreadable else anyio.CancelScope():
            async for frame in frames:
                if frame.index == 2:
                    break
        del frames
        await anyio.to_thread.run_sync(join_source_threads)
        assert reader() is None
    finally:
        gc.enable()


def test_a_read_that_outlives_the_event_loop_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    reader = GatedReader(9, gated=(0,))

    async def be_cancelled() -> None:
        frames = ReadAhead(reader, ahead=0)
        with anyio.move_on_after(0):
            await anext(frames)
        await happened(reader.begun[0])

    asyncio.run(be_cancelled())
    reader.gates[0].set()
    join_source_threads()

    assert caplog.text == ""


def test_a_negative_read_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="read_ahead"):
        ReadAhead(GatedReader(1), ahead=-1)
