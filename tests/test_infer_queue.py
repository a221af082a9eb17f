import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import numpy as np
import openvino as ov
import pytest
import tiny_models
from numpy.typing import NDArray

from aiohooks.errors import InferenceError, InferQueueClosed
from aiohooks.inference.completions import MOST_BITS
from aiohooks.inference.infer_queue import InferQueue
from aiohooks.inference.output_memory import SMALL_BYTES, OutputMemory

pytestmark = pytest.mark.anyio


def doubler(shape: list[int] | None = None) -> ov.CompiledModel:
    from openvino import opset13 as op

    x = op.parameter(shape or [1, 4], np.float32, name="x")
    return ov.Core().compile_model(
        ov.Model([op.result(op.multiply(x, op.constant(np.float32(2))))], [x], "doubler"), "CPU"
    )


def probed(probe: "Probe") -> ov.CompiledModel:
    return ov.Core().compile_model(tiny_models.calling(probe), "CPU")


class Probe:
    """Called by the model with its input, in OpenVINO's thread: waits where told to, fails where told to."""

    def __init__(self, *, open_gate: bool = False) -> None:
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.calls = 0
        if open_gate:
            self.gate.set()

    def __call__(self, x: NDArray[np.float32]) -> None:
        self.calls += 1
        self.started.release()
        if not self.gate.wait(20):
            raise TimeoutError("the test never opened the gate")
        if x.flat[0] < 0:
            raise RuntimeError("boom")


def pixels(value: float) -> list[NDArray[np.float32]]:
    return [np.full((1, 3, tiny_models.SIZE, tiny_models.SIZE), value, np.float32)]


@asynccontextmanager
async def open_queue(model: ov.CompiledModel, slots: int | None = None) -> AsyncIterator[InferQueue]:
    queue = InferQueue(model, slots)
    try:
        yield queue
    finally:
        await queue.aclose()


async def test_every_awaiter_gets_its_own_result() -> None:
    async with open_queue(doubler(), 3) as queue:
        results: dict[int, float] = {}

        async def infer(value: int) -> None:
            (output,) = await queue.infer([np.full((1, 4), value, np.float32)])
            results[value] = float(output[0, 3])

        async with anyio.create_task_group() as group:
            for value in range(200):
                group.start_soon(infer, value)
        assert results == {value: 2.0 * value for value in range(200)}
        assert queue.running == queue.waiting == 0


WIDE = SMALL_BYTES  # floats: four times what is copied on the loop

EVERY_WAY = {
    OutputMemory.COPIED_ON_LOOP: ([1, 4], 4),
    OutputMemory.WRITTEN_IN_PLACE: ([1, WIDE], WIDE),
    OutputMemory.COPIED_IN_CALLBACK: ([1, -1], 5),
}


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_outputs_outlive_the_request_that_made_them(way: OutputMemory) -> None:
    shape, width = EVERY_WAY[way]
    model = doubler(shape)
    assert OutputMemory.best_for(model) is way
    async with open_queue(model, 1) as queue:
        outputs = [(await queue.infer([np.full((1, width), value, np.float32)]))[0] for value in range(5)]
    for value, output in enumerate(outputs):
        np.testing.assert_array_equal(output, np.full((1, width), 2 * value))
    outputs[0][:] = 1  # and they are the caller's to change
    assert float(outputs[1][0, 0]) == 2


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_many_at_once_in_every_way_that_outputs_are_taken(way: OutputMemory) -> None:
    shape, width = EVERY_WAY[way]
    async with open_queue(doubler(shape), 3) as queue:

        async def infer(value: int) -> None:
            with anyio.CancelScope() as scope:
                if value % 5 == 0:
                    scope.cancel()
                (output,) = await queue.infer([np.full((1, width), value, np.float32)])
                assert (output == 2 * value).all()

        async with anyio.create_task_group() as group:
            for value in range(60):
                group.start_soon(infer, value)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("f16", OutputMemory.WRITTEN_IN_PLACE),
        ("i64", OutputMemory.WRITTEN_IN_PLACE),
        ("u8", OutputMemory.WRITTEN_IN_PLACE),
        ("bf16", OutputMemory.COPIED_IN_CALLBACK),
        ("boolean", OutputMemory.COPIED_IN_CALLBACK),
    ],
)
async def test_large_outputs_of_many_types(name: str, way: OutputMemory) -> None:
    from openvino import opset13 as op

    x = op.parameter([1, 8 * WIDE], np.float32, name="x")
    compiled = ov.Core().compile_model(ov.Model([op.result(op.convert(x, name))], [x], name), "CPU")
    assert OutputMemory.best_for(compiled) is way
    array = np.zeros((1, 8 * WIDE), np.float32)
    array[0, ::3] = 1
    async with open_queue(compiled, 2) as queue:
        (output,) = await queue.infer([array])
    if name != "bf16":  # numpy shows its bits
        np.testing.assert_array_equal(output, array)


async def test_a_loop_that_watches_no_file_descriptors(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse, raising=False)
    async with open_queue(doubler(), 2) as queue:
        outputs = [(await queue.infer([np.full((1, 4), value, np.float32)]))[0] for value in range(5)]
    assert [float(output[0, 0]) for output in outputs] == [0, 2, 4, 6, 8]


async def test_more_slots_than_an_eventfd_has_bits() -> None:
    async with open_queue(doubler(), MOST_BITS + 1) as queue, anyio.create_task_group() as group:

        async def infer(value: int) -> None:
            (output,) = await queue.infer([np.full((1, 4), value, np.float32)])
            assert output[0, 0] == 2 * value

        for value in range(200):
            group.start_soon(infer, value)


async def test_outputs_of_changing_shape() -> None:
    async with open_queue(doubler([1, -1]), 2) as queue:
        for width in (3, 7, 2):
            (output,) = await queue.infer([np.ones((1, width), np.float32)])
            assert output.shape == (1, width)
            assert output.sum() == 2 * width


async def test_copies_of_inputs_live_as_long_as_the_inference() -> None:
    probe = Probe()
    async with open_queue(probed(probe), 1) as queue, anyio.create_task_group() as group:
        results: list[NDArray[np.float32]] = []

        async def infer() -> None:
            strided = np.full((1, 3, tiny_models.SIZE, 2 * tiny_models.SIZE), 0.5, np.float32)[..., ::2]
            (output,) = await queue.infer([strided])
            results.append(output)

        group.start_soon(infer)
        await anyio.to_thread.run_sync(probe.started.acquire)
        litter = [pixels(0.25) for _ in range(50)]  # takes the place of what is no longer held
        probe.gate.set()
    assert len(litter) == 50
    np.testing.assert_allclose(results[0], [[5, 5, 5]], rtol=1e-3)


@pytest.mark.parametrize(
    "prepare", [lambda a: a[:, ::2], lambda a: np.frombuffer(a[:, :4].tobytes(), np.float32).reshape(1, 4)]
)
async def test_strided_and_read_only_inputs(prepare) -> None:
    async with open_queue(doubler()) as queue:
        array = prepare(np.arange(8, dtype=np.float32)[None])
        (output,) = await queue.infer([array])
        np.testing.assert_array_equal(output, array * 2)


async def test_a_model_with_several_inputs_and_outputs() -> None:
    from openvino import opset13 as op

    a, b = op.parameter([2], np.float32, name="a"), op.parameter([2], np.float32, name="b")
    model = ov.Model([op.result(op.add(a, b)), op.result(op.subtract(a, b))], [a, b], "two")
    async with open_queue(ov.Core().compile_model(model, "CPU"), 1) as queue:
        total, difference = await queue.infer([np.array([5, 6], np.float32), np.array([1, 2], np.float32)])
        await queue.infer([np.zeros(2, np.float32), np.zeros(2, np.float32)])
    assert total.tolist() == [6, 8]
    assert difference.tolist() == [4, 4]


async def test_a_failure_reaches_its_own_awaiter_and_nobody_else() -> None:
    probe = Probe(open_gate=True)
    async with open_queue(probed(probe), 8) as queue:
        failures: list[int] = []

        async def infer(index: int, value: float) -> None:
            if value > 0:
                await queue.infer(pixels(value))
                return
            with pytest.raises(InferenceError, match="boom"):
                await queue.infer(pixels(value))
            failures.append(index)

        for _ in range(3):
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    for index in range(8):
                        group.start_soon(infer, index, -1 if index == 5 else 0.5)
        assert failures == [5, 5, 5]
        for _ in range(50):
            await queue.infer(pixels(0.5))
        assert queue.running == queue.waiting == 0


async def test_an_input_that_openvino_refuses_leaves_the_slot_free() -> None:
    async with open_queue(doubler(), 1) as queue:
        with pytest.raises(InferenceError, match="shape"):
            await queue.infer([np.zeros((1, 5), np.float32)])
        assert (await queue.infer([np.ones((1, 4), np.float32)]))[0].sum() == 8


async def test_refused_inputs_in_the_line_do_not_stop_it() -> None:
    probe = Probe()
    async with open_queue(probed(probe), 1) as queue:
        outcomes: list[str] = []

        async def infer(inputs: list[NDArray[np.float32]]) -> None:
            try:
                await queue.infer(inputs)
                outcomes.append("ok")
            except InferenceError:
                outcomes.append("refused")

        async with anyio.create_task_group() as group:
            for inputs in (pixels(0.1), [np.zeros(3, np.float32)], [np.zeros(3, np.float32)], pixels(0.2)):
                group.start_soon(infer, inputs)
            await anyio.wait_all_tasks_blocked()
            assert (queue.running, queue.waiting) == (1, 3)
            probe.gate.set()
    assert sorted(outcomes) == ["ok", "ok", "refused", "refused"]


async def test_cancelled_awaiters_leak_no_slot() -> None:
    probe = Probe()
    async with open_queue(probed(probe), 4) as queue:
        finished = 0

        async def infer() -> None:
            nonlocal finished
            await queue.infer(pixels(0.5))
            finished += 1

        scopes = []

        async def cancellable() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await infer()

        async with anyio.create_task_group() as group:
            for index in range(1000):
                group.start_soon(cancellable if index % 2 else infer)
            await anyio.wait_all_tasks_blocked()
            assert (queue.running, queue.waiting) == (4, 996)
            for scope in scopes:
                scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert queue.waiting == 498
            assert queue.running == 4  # a slot is its request's until that settles
            probe.gate.set()
        assert finished == 500
        assert queue.running == queue.waiting == 0
        assert probe.calls == 502  # 498 that waited and the 4 that ran, 2 of them cancelled


async def test_closing_finishes_what_runs_and_fails_what_waits() -> None:
    probe = Probe()
    queue = InferQueue(probed(probe), 8)
    outcomes: list[str] = []

    async def infer() -> None:
        try:
            await queue.infer(pixels(0.5))
            outcomes.append("result")
        except InferQueueClosed:
            outcomes.append("closed")

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(infer)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(queue.aclose)
        group.start_soon(queue.aclose)  # closing twice at once is one closing
        await anyio.wait_all_tasks_blocked()
        assert outcomes == ["closed"] * 4
        probe.gate.set()
    assert outcomes == ["closed"] * 4 + ["result"] * 8
    with pytest.raises(InferQueueClosed):
        await queue.infer(pixels(0.5))


async def test_closing_waits_for_a_failing_request_to_be_told() -> None:
    probe = Probe()
    queue = InferQueue(probed(probe), 2)

    async def fail() -> None:
        with pytest.raises(InferenceError):
            await queue.infer(pixels(-1))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(queue.infer, pixels(0.5))
            group.start_soon(fail)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(queue.aclose)
            await anyio.wait_all_tasks_blocked()
            probe.gate.set()


async def test_a_callback_that_fails_to_copy_fails_its_inference(monkeypatch) -> None:
    def out_of_memory() -> tuple[NDArray[np.float32], ...]:
        raise MemoryError("no room for the outputs")

    monkeypatch.setattr("aiohooks.inference.infer_queue._output_reader", lambda *_: out_of_memory)
    async with open_queue(doubler(), 1) as queue:
        for _ in range(3):
            with pytest.raises(InferenceError, match="no room"):
                await queue.infer([np.ones((1, 4), np.float32)])


def test_at_least_one_slot() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        InferQueue(doubler(), 0)


@contextmanager
def unclosed() -> Iterator[None]:
    """Clean up after a queue that a test leaves open on purpose."""
    from aiohooks.inference import infer_queue

    before = set(infer_queue._unclosed)
    yield
    infer_queue._unclosed -= before
    with pytest.warns(ResourceWarning, match="never closed"):
        infer_queue._retire_unclosed()
    infer_queue._unclosed |= before


def test_a_loop_that_closes_early_leaves_requests_safe() -> None:
    probe = Probe()
    model = probed(probe)

    async def leave() -> None:
        queue = InferQueue(model, 2)
        for _ in range(3):
            asyncio.get_running_loop().create_task(queue.infer(pixels(0.5)))
        await anyio.wait_all_tasks_blocked()

    with unclosed():
        asyncio.run(leave())
        gc.collect()
        probe.gate.set()
