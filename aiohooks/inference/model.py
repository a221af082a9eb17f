"""One model, awaited: a frame in, its prediction out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.errors import InferenceError, SpecError
from aiohooks.frame import Frame
from aiohooks.inference.element_types import ELEMENT_TYPES
from aiohooks.inference.failures import failure
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import LoadedModel, ModelDescription, TensorDescription
from aiohooks.inference.placement import Placement
from aiohooks.inference.queue import Queue
from aiohooks.inference.tile_runner import TileRunner
from aiohooks.prediction import Prediction, Task

T = TypeVar("T")

_PIXEL_TASKS = frozenset({Task.SEGMENTATION, Task.INSTANCE_SEGMENTATION, Task.ROTATED_DETECTION, Task.ANOMALY})
_LARGE = 500_000  # bytes that are copied in about a tenth of a millisecond


class Model:
    """A loaded model with the queue that runs it.

    Preprocessing is part of the graph where that is possible. What is left of it, and the postprocessing, runs on the
    event loop while it is cheap and in worker threads otherwise.

    Args:
        loaded: what `load_model` returned.
        queue: what runs it, if it does not run here.
    """

    def __init__(self, loaded: LoadedModel, queue: Queue | None = None) -> None:
        self._loaded = loaded
        self._queue: Queue = _queue_of(loaded) if queue is None else queue
        self._before = Placement()
        # What decoding pixels costs depends on the picture: after quiet ones a busy one would hold up the loop.
        self._after = Placement(limit=0.0) if loaded.task in _PIXEL_TASKS else Placement()
        # Threads of its own: actions and sources that fill the shared ones never delay an inference.
        self._threads = anyio.CapacityLimiter(loaded.requests)
        self._tiles: TileRunner | None = None
        if loaded.tiled is not None:
            self._tiles = TileRunner(
                loaded, loaded.tiled, self._queue, threads=self._threads, before=self._before, after=self._after
            )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._loaded.name

    @property
    def task(self) -> Task | None:
        """What the model does; None if a decoder decides."""
        return self._loaded.task

    @property
    def labels(self) -> tuple[Label, ...]:
        """The label table."""
        return self._loaded.labels

    @property
    def slots(self) -> int:
        """How many frames can be inferred at once: with tiles one, whose tiles take all the slots of the queue."""
        return self._queue.slots if self._tiles is None else 1

    @property
    def explains(self) -> bool | None:
        """Whether it gives a feature vector or saliency maps; None if only its decoder knows."""
        if any(output.name in ("feature_vector", "saliency_map") for output in self._loaded.description.outputs):
            return True
        return None if self._loaded.task is None else False

    def last_layer(self) -> LastLayer | None:
        """Return the numbers of a classifier's last layer; None if it gives no feature vector or the layer was not found. Blocks."""
        return None if self._loaded.last_layer is None else self._loaded.last_layer()

    def describe(self) -> ModelDescription:
        """Return what the model is and how it runs."""
        return self._loaded.description

    async def infer(self, frame: Frame) -> Prediction:
        """Infer one frame; its pixels must not change until then.

        Raises:
            InferenceError: the model, its preprocessing or its decoding failed on this frame.
            InferQueueClosed: the model is closed.
        """
        if self._tiles is not None:
            return await self._tiles.infer(frame)
        loaded = self._loaded
        image = frame.image
        try:
            if image.nbytes > _LARGE and not (image.flags.c_contiguous and image.flags.writeable):
                # OpenVINO cannot read it in place, and to turn BGR into RGB takes 15 ms at 1080p.
                image = await anyio.to_thread.run_sync(image.copy, limiter=self._threads)
            if loaded.preprocess_is_free:
                inputs, meta = loaded.preprocess(image)
            elif self._before.on_loop:
                inputs, meta = self._before.run(loaded.preprocess, image)
            else:
                inputs, meta = await self._in_thread(self._before, loaded.preprocess, image)
        except Exception as error:
            raise failure(loaded.name, frame, "cannot prepare the picture", error) from error
        try:
            outputs = await self._queue.infer(inputs)
        except InferenceError as error:
            raise failure(loaded.name, frame, "", error) from error
        try:
            if self._after.on_loop:
                return self._after.run(loaded.postprocess, outputs, meta, frame)
            return await self._in_thread(self._after, loaded.postprocess, outputs, meta, frame)
        except Exception as error:
            raise failure(loaded.name, frame, "cannot decode the outputs", error) from error

    async def infer_tensors(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model as it is, without pre- and postprocessing.

        Args:
            inputs: all inputs by name, with shapes and element types as `describe` tells.

        Returns:
            The outputs by name.

        Raises:
            SpecError: an input is missing, unknown, or not what the model takes.
            InferenceError: OpenVINO failed on them.
            InferQueueClosed: the model is closed.
        """
        about = self._loaded.description
        described = {tensor.name: tensor for tensor in about.inputs}
        if inputs.keys() != described.keys():
            raise SpecError(f"model {self.name} takes the inputs {sorted(described)}, got {sorted(inputs)}")
        for name, array in inputs.items():
            _check_tensor(described[name], array)
        outputs = await self._queue.infer([inputs[tensor.name] for tensor in about.inputs])
        return dict(zip([tensor.name for tensor in about.outputs], outputs, strict=True))

    def fail_waiting(self) -> None:
        """Fail the inferences that wait for a slot with `InferQueueClosed`."""
        self._queue.fail_waiting()

    async def aclose(self) -> None:
        """Let what runs finish, fail what waits, and release the model."""
        await self._queue.aclose()

    async def _in_thread(self, placement: Placement, function: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(placement.run, function, *args, limiter=self._threads)


def _queue_of(loaded: LoadedModel) -> Queue:
    # OpenVINO takes long to import; by now a worker thread has done it, to load the model.
    from aiohooks.inference.infer_queue import InferQueue

    return InferQueue(loaded.compiled, loaded.requests)


async def open_model(source: Any, **options: Any) -> Model:
    """Load a model in a worker thread and return it ready to infer.

    Args:
        source: path of an .xml, .onnx or .tflite file, or an `openvino.Model`.
        options: see `load_model`.

    Raises:
        LoadError: it cannot be loaded.
    """
    return Model(await load_in_thread(source, **options))


async def load_in_thread(source: Any, **options: Any) -> LoadedModel:
    """Load a model in a worker thread; for the arguments see `open_model`."""
    return await anyio.to_thread.run_sync(_load, source, options)


def _load(source: Any, options: Mapping[str, Any]) -> LoadedModel:
    from aiohooks.inference.model_loading import load_model  # with OpenVINO and Model API: half a second

    return load_model(source, **options)


def _check_tensor(wanted: TensorDescription, array: NDArray[Any]) -> None:
    shape = array.shape
    fits = len(shape) == len(wanted.shape) and all(
        size > 0 and side in (-1, size) for size, side in zip(shape, wanted.shape, strict=True)
    )
    if not fits or array.dtype != ELEMENT_TYPES.get(wanted.dtype):
        raise SpecError(
            f"input {wanted.name}: expected {wanted.dtype} of shape {list(wanted.shape)} (-1: any size), "
            f"got {array.dtype} of shape {list(shape)}"
        )
