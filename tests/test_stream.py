"""Streams, with inference times scrambled in virtual time; tests of whole deployments stream real models."""

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from hook_fixtures import frame, prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_clock import run_virtual

from aiohooks.errors import FrameError, InferenceError, InferQueueClosed
from aiohooks.frame import Frame
from aiohooks.inference.stream import Stream
from aiohooks.prediction import Prediction
from aiohooks.task_owner import TaskOwner


class Camera:
    """A source that counts its living frames and knows whether it was closed."""

    def __init__(
        self, count: int, *, pause: float = 0.0, broken: frozenset[int] = frozenset(), dies_at: int = -1
    ) -> None:
        self.count = count
        self.pause = pause
        self.broken = broken
        self.dies_at = dies_at
        self.next = 0
        self.alive: set[int] = set()
        self.most_alive = 0
        self.closed = False

    def __aiter__(self) -> "Camera":
        return self

    async def __anext__(self) -> Frame:
        await anyio.sleep(self.pause)
        index = self.next
        self.next += 1
        if index >= self.count:
            raise StopAsyncIteration
        if index == self.dies_at:
            raise OSError("unplugged")
        if index in self.broken:
            raise FrameError(f"frame {index} is torn")
        made = frame(index)
        self.alive.add(index)
        weakref.finalize(made, self.alive.discard, index)
        self.most_alive = max(self.most_alive, len(self.alive))
        return made

    async def aclose(self) -> None:
        self.closed = True


class Model:
    """Takes a random time for every frame; fails on those it is told to."""

    def __init__(
        self, seed: int = 0, *, fails: frozenset[int] = frozenset(), crashes: frozenset[int] = frozenset()
    ) -> None:
        self.chance = random.Random(seed)
        self.fails = fails
        self.crashes = crashes
        self.running = 0

    async def infer(self, frame: Frame) -> Prediction:
        self.running += 1
        try:
            await anyio.sleep(self.chance.random())
        finally:
            self.running -= 1
        if frame.index in self.fails:
            raise InferenceError(f"failed on {frame.index}")
        if frame.index in self.crashes:
            raise ZeroDivisionError("a bug")
        return prediction(score=(frame.index % 100) / 100)


@asynccontextmanager
async def studio() -> AsyncIterator[Callable[..., Stream]]:
    """Makes streams whose tasks belong to an owner, as a deployment does, and checks that they leave none behind."""
    owner = TaskOwner("studio")
    await owner.open()
    tasks = asyncio.all_tasks()

    def make(
        camera: Camera, infer: Callable[[Frame], Awaitable[Prediction]], *, ordered: bool = True, max_in_flight: int = 8
    ) -> Stream:
        return Stream(
            camera,
            infer,
            ordered=ordered,
            max_in_flight=max_in_flight,
            start_soon=owner.start_soon,
            on_close=lambda _: None,
        )

    yield make
    await anyio.wait_all_tasks_blocked()
    assert asyncio.all_tasks() == tasks
    await owner.aclose()


@pytest.mark.parametrize("max_in_flight", [1, 2, 3, 8, 600])
@pytest.mark.parametrize("seed", range(3))
def test_500_frames_come_in_order_within_the_bound(seed: int, max_in_flight: int) -> None:
    async def main() -> None:
        camera, model = Camera(500), Model(seed)
        async with studio() as make, make(camera, model.infer, max_in_flight=max_in_flight) as results:
            indices = []
            async for result in results:
                indices.append(result.frame.index)
                assert result.prediction.scores[0] == pytest.approx((result.index % 100) / 100)
        assert indices == list(range(500))
        # With one in flight the reader still holds the last result while the next frame is read.
        assert camera.most_alive <= max(max_in_flight, 2)
        assert camera.closed

    run_virtual(main)


def test_as_they_finish_is_another_order_of_the_same() -> None:
    async def main() -> None:
        async with studio() as make, make(Camera(100), Model().infer, ordered=False) as results:
            indices = [result.index async for result in results]
        assert indices != sorted(indices)
        assert sorted(indices) == list(range(100))

    run_virtual(main)


def test_inferences_overlap() -> None:
    async def main() -> None:
        started = anyio.current_time()
        async with studio() as make, make(Camera(100), Model().infer, max_in_flight=10) as results:
            async for _ in results:
                pass
        assert anyio.current_time() - started < 15  # one after the other they take about 50 s

    run_virtual(main)


def test_a_slow_source_does_not_hold_back_what_is_ready() -> None:
    async def main() -> None:
        async with studio() as make, make(Camera(3, pause=100.0), Model().infer) as results:
            await anext(results)
            assert anyio.current_time() < 102

    run_virtual(main)


def test_frames_that_cannot_be_read_or_inferred_are_reported_in_their_place() -> None:
    async def main() -> None:
        camera = Camera(20, broken=frozenset({0, 3, 19}))
        model = Model(fails=frozenset({5}), crashes=frozenset({7}))
        async with studio() as make, make(camera, model.infer) as stream:
            results = [result async for result in stream]
        assert [result.index for result in results] == list(range(20))
        assert [result.index for result in results if not result.ok] == [0, 3, 5, 7, 19]
        assert "frame 3 is torn" in str(results[3].error)
        with pytest.raises(FrameError):
            results[3].prediction  # noqa: B018
        with pytest.raises(FrameError):
            results[3].frame  # noqa: B018
        assert results[3].context is None
        with pytest.raises(InferenceError, match="failed on 5"):
            results[5].prediction  # noqa: B018
        assert results[5].frame.index == 5
        assert isinstance(results[7].error, InferenceError)
        assert isinstance(results[7].error.__cause__, ZeroDivisionError)

    run_virtual(main)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_source_that_dies_ends_the_stream_after_the_frames_before(ordered: bool) -> None:
    async def main() -> None:
        seen = []
        async with studio() as make, make(Camera(50, dies_at=20), Model().infer, ordered=ordered) as results:
            with pytest.raises(OSError, match="unplugged"):
                async for result in results:
                    seen.append(result.index)
        assert sorted(seen) == list(range(20))

    run_virtual(main)


LEAVING = ("break", "exception", "cancellation", "nothing read")


@given(
    st.sampled_from(LEAVING), st.integers(0, 60), st.floats(0, 30), st.booleans(), st.integers(1, 9), st.integers(0, 99)
)
@settings(deadline=None, max_examples=60)
def test_leaving_the_block_leaves_nothing_running(how, after, seconds, ordered, max_in_flight, seed) -> None:
    async def main() -> None:
        camera, model = Camera(50, pause=0.01), Model(seed)

        async def read(stream: Stream) -> None:
            async with stream as results:
                if how == "nothing read":
                    await anyio.sleep(seconds)
                    return
                async for result in results:
                    if result.index >= after and how == "break":
                        break
                    if result.index >= after and how == "exception":
                        raise LookupError

        async with studio() as make:
            stream = make(camera, model.infer, ordered=ordered, max_in_flight=max_in_flight)
            try:
                with anyio.move_on_after(seconds if how == "cancellation" else 1000):
                    await read(stream)
            except LookupError:
                assert how == "exception"
            assert camera.closed
            assert model.running == 0
        gc.collect()
        assert not camera.alive

    run_virtual(main)


def test_a_bare_loop_left_by_break_holds_its_frames_and_then_goes() -> None:
    async def main() -> None:
        camera, model = Camera(50), Model()
        async with studio() as make:
            stream = make(camera, model.infer, max_in_flight=5)
            async for _ in stream:
                break
            del _
            # the loop's iterator is gone with the loop, and asyncio closes it
            await anyio.wait_all_tasks_blocked()
            assert camera.closed
            assert model.running == 0
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    run_virtual(main)


def test_a_held_iterator_reads_no_further() -> None:
    async def main() -> None:
        camera, model = Camera(50), Model()
        async with studio() as make:
            stream = make(camera, model.infer, max_in_flight=5)
            iterator = aiter(stream)
            async for _ in iterator:
                break
            await anyio.sleep(1000)
            assert camera.next == 5
            assert stream.in_flight == 5
            assert model.running == 0
            await iterator.aclose()
            assert camera.closed
            assert stream.in_flight == 0

    run_virtual(main)


def test_a_second_loop_in_the_block_goes_on_where_the_first_was_left() -> None:
    async def main() -> None:
        async with studio() as make, make(Camera(10), Model().infer) as results:
            async for result in results:
                if result.index == 3:
                    break
            assert [result.index async for result in results] == [4, 5, 6, 7, 8, 9]

    run_virtual(main)


def test_one_reader_at_a_time() -> None:
    async def main() -> None:
        async with (
            studio() as make,
            make(Camera(10, pause=1.0), Model().infer) as results,
            anyio.create_task_group() as group,
        ):
            group.start_soon(anext, results)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="already being read"):
                await anext(results)

    run_virtual(main)


def test_a_cancelled_read_loses_no_result() -> None:
    async def main() -> None:
        async with studio() as make, make(Camera(30), Model().infer) as results:
            indices = []
            while len(indices) < 30:
                with anyio.move_on_after(0.05):
                    indices.append((await anext(results)).index)
        assert indices == list(range(30))

    run_virtual(main)


def test_cancelled_reads_do_not_loosen_the_bound() -> None:
    async def main() -> None:
        camera, model = Camera(50, pause=1.0), Model()
        async with studio() as make, make(camera, model.infer, max_in_flight=1) as results:
            first = await anext(results)
            for _ in range(5):
                with anyio.move_on_after(0.01):
                    await anext(results)
            await anyio.sleep(100)
            assert results.in_flight == 1
            assert camera.next == 2
            del first

    run_virtual(main)


def test_the_reader_is_told_when_what_the_stream_runs_in_has_ended() -> None:
    async def main() -> None:
        owner = TaskOwner("short-lived")
        await owner.open()
        camera = Camera(10, pause=10.0)
        stream = Stream(
            camera, Model().infer, ordered=True, max_in_flight=2, start_soon=owner.start_soon, on_close=lambda _: None
        )

        async def read() -> None:
            with pytest.raises(InferQueueClosed, match="has ended"):
                await anext(stream)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await owner.aclose()

    run_virtual(main)


def test_abort_reaches_the_reader() -> None:
    async def main() -> None:
        async with studio() as make:
            stream = make(Camera(10, pause=10.0), Model().infer)

            async def read() -> None:
                with pytest.raises(InferQueueClosed, match="closed under it"):
                    await anext(stream)

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                await stream.abort(InferQueueClosed("closed under it"))

    run_virtual(main)


def test_a_source_that_fails_or_hangs_while_closing_is_left_behind(caplog) -> None:
    class Failing(Camera):
        async def aclose(self) -> None:
            raise OSError("stuck")

    class Hanging(Camera):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    async def main() -> None:
        for camera in (Failing(10), Hanging(10)):
            async with studio() as make, make(camera, Model().infer) as results:
                await anext(results)

    run_virtual(main)
    assert "failed while it was closed" in caplog.text


def test_abort_after_the_end_changes_nothing() -> None:
    async def main() -> None:
        async with studio() as make:
            stream = make(Camera(1), Model().infer)
            assert [result.index async for result in stream] == [0]
            await stream.abort(InferQueueClosed("too late"))
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    run_virtual(main)


def test_a_source_that_cannot_be_closed() -> None:
    class Endless:
        def __aiter__(self) -> "Endless":
            return self

        async def __anext__(self) -> Frame:
            return frame()

    async def main() -> None:
        async with studio() as make, make(Endless(), Model().infer) as results:
            await anext(results)

    run_virtual(main)


def test_at_least_one_frame_in_flight() -> None:
    async def main() -> None:
        async with studio() as make:
            with pytest.raises(ValueError, match="max_in_flight must be at least 1"):
                make(Camera(1), Model().infer, max_in_flight=0)

    run_virtual(main)
