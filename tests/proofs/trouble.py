"""A program that gives the inference queue all the trouble there is, one kind a loop, and must exit in order.

python trouble.py [SEED]
"""

import asyncio
import random
import sys
import threading

import anyio
import numpy as np
import openvino as ov
import uvloop
from openvino import opset13 as op

from aiohooks.errors import InferenceError, InferQueueClosed
from aiohooks.inference.infer_queue import InferQueue

chance = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)


class Fussy(ov.Op):
    """Passes its input on, takes a moment where told to, and fails on negative numbers."""

    def __init__(self, inputs: list[ov.Output] | None = None) -> None:
        super().__init__(self, inputs)

    def validate_and_infer_types(self) -> None:
        self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))

    def clone_with_new_inputs(self, inputs: list[ov.Output]) -> ov.Op:
        return Fussy(inputs)

    def has_evaluate(self) -> bool:
        return True

    def evaluate(self, outputs: list[ov.Tensor], inputs: list[ov.Tensor]) -> bool:
        value = float(inputs[0].data.flat[0])
        if value % 1 > 0:
            threading.Event().wait(value % 1)
        if value < 0:
            raise RuntimeError("fussy")
        inputs[0].copy_to(outputs[0])
        return True


def compiled() -> ov.CompiledModel:
    x = op.parameter([1, 4], np.float32, name="x")
    return ov.Core().compile_model(ov.Model([op.result(Fussy([x.output(0)]))], [x], "fussy"), "CPU")


def number(value: float) -> list[np.ndarray]:
    return [np.full((1, 4), value, np.float32)]


async def infer(queue: InferQueue, value: float) -> str:
    try:
        (output,) = await queue.infer(number(value))
    except InferenceError:
        return "failed"
    except InferQueueClosed:
        return "closed"
    assert output[0, 3] == np.float32(value), "somebody else's result"
    return "ok"


async def failures(model: ov.CompiledModel) -> None:
    queue = InferQueue(model, 8)
    async with anyio.create_task_group() as group:
        for index in range(64):
            group.start_soon(infer, queue, -1 if chance.random() < 0.3 else index)
    for index in range(100):
        assert await infer(queue, index) == "ok"
    await queue.aclose()


async def cancellation(model: ov.CompiledModel) -> None:
    queue = InferQueue(model, 4)
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(infer, queue, chance.choice((1.0, 2.001, -1)))
        await anyio.sleep(chance.random() * 0.02)
        group.cancel_scope.cancel()
    assert await infer(queue, 7) == "ok"
    await queue.aclose()


async def closing(model: ov.CompiledModel) -> None:
    queue = InferQueue(model, 8)
    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(infer, queue, chance.choice((1.0, 2.001, -1)))
        await anyio.sleep(chance.random() * 0.01)
        await queue.aclose()


async def left_behind(model: ov.CompiledModel) -> None:
    queue = InferQueue(model, 4)
    for _ in range(8):
        asyncio.get_running_loop().create_task(infer(queue, chance.choice((1.02, 2.0))))
    await anyio.sleep(chance.random() * 0.02)


def main() -> None:
    model = compiled()
    for part in (failures, cancellation, closing, left_behind):
        for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(part(model))
    print("in order")


if __name__ == "__main__":
    main()
