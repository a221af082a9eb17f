"""OpenVINO as its documentation uses it, and in the leanest way that its Python package allows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

Inputs = Sequence[NDArray[Any]]
Run = Callable[[int], None]
"""Does that many inferences."""


def sequential(model: ov.CompiledModel, inputs: Inputs) -> Run:
    """`InferRequest.infer`, one after the other."""
    request = model.create_infer_request()

    def run(count: int) -> None:
        for index in range(count):
            request.infer([inputs[index % len(inputs)]], share_inputs=True)

    return run


def queued(model: ov.CompiledModel, inputs: Inputs, slots: int) -> Run:
    """`AsyncInferQueue.start_async` with a callback that copies the outputs."""
    queue = ov.AsyncInferQueue(model, slots)
    outputs = range(len(model.outputs))
    results: dict[int, list[NDArray[Any]]] = {}

    def keep(request: ov.InferRequest, index: int) -> None:
        results[index] = [request.get_output_tensor(output).data.copy() for output in outputs]

    queue.set_callback(keep)

    def run(count: int) -> None:
        for index in range(count):
            queue.start_async([inputs[index % len(inputs)]], index, share_inputs=True)
        queue.wait_all()
        results.clear()

    return run


def lean_sequential(model: ov.CompiledModel, inputs: Inputs) -> Run:
    """`InferRequest.infer` of a tensor, past the Python dispatch of its arguments, with a copy of the outputs."""
    request = model.create_infer_request()
    views = [request.get_output_tensor(output).data for output in range(len(model.outputs))]
    infer = super(ov.InferRequest, request).infer

    def run(count: int) -> None:
        for index in range(count):
            infer(ov.Tensor(inputs[index % len(inputs)], shared_memory=True), share_outputs=True, decode_strings=False)
            [view.copy() for view in views]

    return run


def lean_queued(model: ov.CompiledModel, inputs: Inputs, slots: int) -> Run:
    """`AsyncInferQueue.start_async` of a tensor, past the Python dispatch of its arguments."""
    queue = ov.AsyncInferQueue(model, slots)
    start = super(ov.AsyncInferQueue, queue).start_async
    outputs = range(len(model.outputs))
    results: dict[int, list[NDArray[Any]]] = {}

    def keep(request: ov.InferRequest, index: int) -> None:
        results[index] = [request.get_output_tensor(output).data.copy() for output in outputs]

    queue.set_callback(keep)

    def run(count: int) -> None:
        for index in range(count):
            start(ov.Tensor(inputs[index % len(inputs)], shared_memory=True), index)
        queue.wait_all()
        results.clear()

    return run


def batched(frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Frames as the compiled model takes them: with a batch dimension."""
    return [frame[None] for frame in frames]
