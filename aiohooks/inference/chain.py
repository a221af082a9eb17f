"""Models one after the other: each but the first sees crops around what the one before it found."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import accumulate
from typing import NamedTuple

import anyio

from aiohooks.annotation import Label
from aiohooks.errors import InferenceError
from aiohooks.frame import Frame
from aiohooks.inference.crops import Crop, crops, with_labels, with_objects, with_tables
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.inference.model import Model
from aiohooks.prediction import Prediction


class Step(NamedTuple):
    """One model of a chain.

    Attributes:
        model: what runs.
        labels_whole: it labels the picture that it gets as a whole; else it finds things in it.
    """

    model: Model
    labels_whole: bool


class Chain:
    """Models that run one after the other on what the one before found, such as detect → crop → classify.

    The crops of a frame go through the next model concurrently, as many as that has slots. Their pixels are views of the
    frame's; what the model cannot read in place, it copies. A model that labels whole pictures adds its labels to the objects; the
    model after it gets the same crops. Feature vector, saliency maps and what else belongs to the picture as a whole are those
    of the first model.

    Args:
        name: its name in messages.
        steps: at least one. They are closed with the chain.
    """

    def __init__(self, name: str, steps: Sequence[Step]) -> None:
        self.name = name
        self._first, *self._rest = steps
        self._tables = [step.model.labels for step in self._rest]
        self._labels = tuple(label for step in steps for label in step.model.labels)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The label tables of its models, one after the other; labels of two models may share an id."""
        return self._labels

    @property
    def slots(self) -> int:
        """Inferences of its busiest model that can run at once."""
        return max(step.model.slots for step in (self._first, *self._rest))

    @property
    def explains(self) -> bool | None:
        """Whether the first model gives what explains a prediction."""
        return self._first.model.explains

    def last_layer(self) -> LastLayer | None:
        """Return the numbers of the last layer of the first model, whose feature vector predictions have. Blocks."""
        return self._first.model.last_layer()

    def describe(self) -> ModelDescription:
        """Return what the chain and its models are and how they run."""
        steps = tuple(step.model.describe() for step in (self._first, *self._rest))
        first = steps[0]
        return ModelDescription(
            name=self.name,
            model_type="chain",
            task=first.task,
            labels=tuple(label.name for label in self._labels),
            inputs=first.inputs,
            outputs=first.outputs,
            preprocessing=first.preprocessing,
            devices=tuple(dict.fromkeys(device for step in steps for device in step.devices)),
            precision=first.precision,
            performance_hint=first.performance_hint,
            requests=self.slots,
            parameters={},
            project=first.project,
            steps=steps,
        )

    async def infer(self, frame: Frame) -> Prediction:
        """Infer one frame; its pixels must not change until then.

        Raises:
            InferenceError: a model failed on the frame or on a crop; the message says which.
            InferQueueClosed: the chain is closed.
        """
        found = await self._first.model.infer(frame)
        if not self._rest or not len(found):
            return with_tables(found, self._tables)
        *offsets, _ = accumulate(map(len, self._tables), initial=len(found.labels))
        whole = with_tables(found, self._tables)
        cut = crops(whole) if not self._first.labels_whole else [Crop(0, 0, 0, frame.width, frame.height)]
        for step, table, offset in zip(self._rest, self._tables, offsets, strict=True):
            said = await _infer_crops(step.model, frame, cut)
            if step.labels_whole:
                whole = with_labels(whole, cut, said, table, offset)
            else:
                start = len(whole)
                whole = with_objects(whole, cut, said, table, offset)
                cut = crops(whole, start)
        return whole

    def fail_waiting(self) -> None:
        """Fail the frames that have not begun; crops of those that have may go on."""
        self._first.model.fail_waiting()

    async def aclose(self) -> None:
        """Close the models from the first to the last, so that what runs in one can still go on to the next."""
        async with AsyncExitStack() as closing:
            for step in (*reversed(self._rest), self._first):
                closing.push_async_callback(step.model.aclose)


async def _infer_crops(model: Model, frame: Frame, cut: Sequence[Crop]) -> list[Prediction]:
    """Infer crops of a frame, as many at once as the model runs; the first that fails ends the others."""
    said: dict[int, Prediction] = {}
    failures: list[Exception] = []
    waiting = iter(enumerate(cut))

    async def work() -> None:
        for i, crop in waiting:
            try:
                said[i] = await model.infer(crop.of(frame))
            except Exception as error:
                failures.append(_failure(model, i, cut, error))
                workers.cancel_scope.cancel()
                return

    if len(cut) == 1:
        try:
            return [await model.infer(cut[0].of(frame))]
        except InferenceError as error:
            raise _failure(model, 0, cut, error) from error
    async with anyio.create_task_group() as workers:
        for _ in range(min(model.slots, len(cut))):
            workers.start_soon(work)
    if failures:
        raise failures[0]
    return [said[i] for i in range(len(cut))]


def _failure(model: Model, index: int, cut: Sequence[Crop], error: Exception) -> Exception:
    if not isinstance(error, InferenceError):
        return error
    crop = cut[index]
    size = f"{crop.x2 - crop.x1}×{crop.y2 - crop.y1} at {crop.x1}, {crop.y1}"
    failure = InferenceError(f"task {model.name!r}, crop {index + 1} of {len(cut)} ({size}): {error}")
    failure.__cause__ = error
    return failure
