"""A model that infers a frame when the test lets it, and fails where the test wants it to."""

from collections.abc import Callable
from typing import Any

import anyio

from aiohooks import Deployment, InferenceError, Label, ModelDescription, Prediction, Task
from aiohooks.frame import Frame

LABELS = (Label(name="red"), Label(name="green"), Label(name="blue"))


class GatedModel:
    """A detector of nothing.

    Attributes:
        begun: indices of frames whose inference has begun.
        was_cancelled: set when an inference was cancelled.
    """

    labels = LABELS
    slots = 1
    explains = False

    def __init__(self, *, failing: int | None = None, is_open: bool = True) -> None:
        self.gates: dict[int, anyio.Event] = {}
        self.begun: list[int] = []
        self.was_cancelled = anyio.Event()
        self._beginning = anyio.Event()
        self._failing = failing
        self._is_open = is_open

    def gate(self, index: int) -> anyio.Event:
        return self.gates.setdefault(index, anyio.Event())

    async def begins(self, index: int) -> None:
        """Wait until the inference of a frame has begun."""
        while index not in self.begun:
            await self._beginning.wait()

    def describe(self) -> ModelDescription:
        return ModelDescription(
            name="gated", model_type="Gated", task=Task.DETECTION, labels=tuple(label.name for label in LABELS), inputs=(),
            outputs=(), preprocessing="", devices=("CPU",), precision="f32", performance_hint="", requests=1, parameters={},
        )  # fmt: skip

    async def infer(self, frame: Frame) -> Prediction:
        self.begun.append(frame.index)
        self._beginning.set()
        self._beginning = anyio.Event()
        if not self._is_open:
            try:
                await self.gate(frame.index).wait()
            except BaseException:
                self.was_cancelled.set()
                raise
        if frame.index == self._failing:
            raise InferenceError("secret details")
        return Prediction.empty(Task.DETECTION, (frame.height, frame.width), LABELS)

    def fail_waiting(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def gated(**options: Any) -> tuple[Deployment, GatedModel]:
    """A deployment with such a model."""
    model = GatedModel(**options)

    async def open_model() -> Any:
        return model

    opening: Callable[[], Any] = open_model
    return Deployment("gated", opening), model
