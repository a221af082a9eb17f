"""Models that run behind the Open Inference Protocol, as if they ran here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.errors import LoadError, SessionError, SpecError
from aiohooks.frame import Frame
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.element_types import ELEMENT_TYPES
from aiohooks.inference.failures import failure
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import LoadedModel, ModelDescription, TensorDescription
from aiohooks.inference.model import Model
from aiohooks.inference.remote_queue import RemoteQueue
from aiohooks.inference.slots import Slots
from aiohooks.open_inference import DTYPES, InferRequest, ModelMetadata, Tensor, TensorMetadata, checked_url
from aiohooks.prediction import Prediction, Task
from aiohooks.prediction.tensors import from_tensors

if TYPE_CHECKING:
    from aiohooks.clients.open_inference import OpenInferenceClient  # loads aiohttp

OURS = "aiohooks"
"""Platform of a server whose models take pictures and give predictions."""

LARGE_BYTES = 500_000
"""Pixels with more bytes than this are copied in a worker thread."""

Prepare = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[Any]]]
"""Turns RGB pixels into the inputs of a model, by name."""


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How a remote model is used.

    Attributes:
        model: its name there.
        like: what the model is here: its file, which says how pictures are prepared and outputs are read.
        load: keywords of `load_model` for that file.
        decoder: reads the outputs, where there is no such file.
        prepare: prepares pictures, where there is no such file.
        labels: the label table, where there is no such file.
        slots: inferences at once.
    """

    model: str
    like: Any = None
    load: Mapping[str, Any] | None = None
    decoder: Decoder | None = None
    prepare: Prepare | None = None
    labels: tuple[Label, ...] = ()
    slots: int = 16


class RemoteServer:
    """A server that is contacted when a deployment opens. Its token is in no repr.

    Args:
        url: of the server.
        token: of the server; None for none.
        timeout: seconds for one call with its retries.
        max_connections: at once.

    Raises:
        SpecError: the URL is not one.
    """

    def __init__(self, url: str, token: str | None, timeout: float, max_connections: int) -> None:
        self._url = checked_url(url)
        self._token = token
        self._timeout = timeout
        self._max_connections = max_connections

    async def open(self, options: RemoteOptions) -> "Model | RemoteModel":
        """Return one of its models, ready to infer; errors as for `open_remote`."""
        from aiohooks.clients.open_inference import OpenInferenceClient

        client = OpenInferenceClient(
            self._url, token=self._token, timeout=self._timeout, max_connections=self._max_connections
        )
        return await open_remote(client, options)


async def open_remote(client: "OpenInferenceClient", options: RemoteOptions) -> "Model | RemoteModel":
    """Ask a server about a model and return it, ready to infer; the client is closed with it, or if this fails.

    Raises:
        LoadError: the server cannot be reached, has no such model, or it is not what it should be.
    """
    try:
        try:
            told = await client.metadata(options.model)
        except SessionError as error:
            raise LoadError(str(error)) from error
        if options.like is None and options.decoder is None:
            return RemoteModel(client, told, _about(told, client.host), options.slots)
        if options.like is not None:
            loaded = await anyio.to_thread.run_sync(partial(_load_like, options))
            _check_same(told.inputs, loaded.description.inputs, "input", client.host)
            _check_same(told.outputs, loaded.description.outputs, "output", client.host)
        else:
            loaded = _decoded(told, options, client.host)
        queue = RemoteQueue(
            client,
            options.model,
            inputs=[tensor.name for tensor in loaded.description.inputs],
            outputs=[tensor.name for tensor in loaded.description.outputs],
            slots=options.slots,
        )
        return Model(loaded, queue)
    except BaseException:
        await client.aclose()
        raise


class _About(msgspec.Struct):
    """What our server says about a deployment."""

    task: Task | None
    labels: tuple[Label, ...]
    explains: bool | None = None
    feature_width: int | None = None
    slots: int = 0


class RemoteModel:
    """A deployment of another aiohooks: pictures out, predictions in.

    Args:
        client: of its server; closed with this.
        told: what the server says about the model.
        about: what only ours says.
        slots: inferences at once.
    """

    def __init__(self, client: "OpenInferenceClient", told: ModelMetadata, about: _About, slots: int) -> None:
        self.name = told.name
        self._client = client
        self._about = about
        self._slots = Slots(slots)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The label table."""
        return self._about.labels

    @property
    def slots(self) -> int:
        """Inferences that run at once."""
        return self._slots.count

    @property
    def explains(self) -> bool | None:
        """Whether predictions have a feature vector or saliency maps; None if that is known only from them."""
        return self._about.explains

    def last_layer(self) -> LastLayer | None:
        """Return None: the numbers of a model's layers stay where it runs."""
        return None

    def describe(self) -> ModelDescription:
        """Return what the model is; how it runs is known there."""
        width = self._about.feature_width
        outputs = () if width is None else (TensorDescription("feature_vector", (width,), "f32"),)
        return _description(self.name, self._about.task, self.labels, (), outputs, self._client.host, self.slots)

    async def infer(self, frame: Frame) -> Prediction:
        """Have one frame inferred; its encoded bytes are sent if it has them, else its pixels.

        Raises:
            InferenceError: the server cannot be reached, refuses, or gives something else.
            InferQueueClosed: the model is closed.
        """
        async with self._slots.one():
            try:
                request = InferRequest(
                    (await _tensor_of(frame),), parameters={"binary_data_output": True, "all_outputs": True}
                )
                answer = await self._client.infer(self.name, request)
                arrays = {tensor.name: tensor.array for tensor in answer.outputs}
                return from_tensors(
                    arrays, task=self._about.task or Task(str(arrays["task"][0], "utf-8")), labels=self.labels
                )
            except (SessionError, SpecError, KeyError, ValueError) as error:
                raise failure(self.name, frame, "", error) from error

    def fail_waiting(self) -> None:
        """Fail the inferences that have not begun to run."""
        self._slots.fail_waiting()

    async def aclose(self) -> None:
        """Let what runs finish, fail what waits, and close the connections."""
        await self._slots.aclose()
        await self._client.aclose()


async def _tensor_of(frame: Frame) -> Tensor:
    if frame.encoded is not None:
        picture = np.empty(1, object)
        picture[0] = frame.encoded
        return Tensor("image", picture)
    if frame.image.nbytes > LARGE_BYTES and not frame.image.flags.c_contiguous:
        return Tensor("pixels", await anyio.to_thread.run_sync(np.ascontiguousarray, frame.image))
    return Tensor("pixels", frame.image)


def _about(told: ModelMetadata, host: str) -> _About:
    if told.platform == OURS:
        try:
            return msgspec.convert(told.parameters, _About)
        except msgspec.ValidationError as error:
            raise LoadError(f"{host}: what it says about model {told.name} is not understood: {error}") from error
    raise LoadError(
        f"{host}: model {told.name} takes {[tensor.name for tensor in told.inputs]} and gives {[tensor.name for tensor in told.outputs]}, "
        f"as {told.platform or 'a platform that it does not name'} has it: pass like=, the model's file, or decoder= and prepare="
    )


def _load_like(options: RemoteOptions) -> LoadedModel:
    from aiohooks.inference.model_loading import load_uncompiled  # with OpenVINO and Model API: half a second

    return load_uncompiled(options.like, requests=options.slots, **{"preprocessing": "opencv", **(options.load or {})})


def _decoded(told: ModelMetadata, options: RemoteOptions, host: str) -> LoadedModel:
    """Return a model whose pictures and outputs are the caller's business."""
    if options.decoder is None or options.prepare is None:
        raise LoadError("decoder= and prepare= belong together: one makes the inputs, the other reads the outputs")
    decoder, prepare = options.decoder, options.prepare
    inputs, outputs = tuple(map(_described, told.inputs)), tuple(map(_described, told.outputs))
    names = [tensor.name for tensor in outputs]

    def preprocess(image: NDArray[Any]) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        made = prepare(image)
        return [np.asarray(made[tensor.name], ELEMENT_TYPES[tensor.dtype]) for tensor in inputs], {}

    def postprocess(values: tuple[NDArray[Any], ...], _: dict[str, Any], frame: Frame) -> Prediction:
        return decoder(dict(zip(names, values, strict=True)), frame)

    return LoadedModel(
        name=told.name,
        task=None,
        labels=options.labels,
        compiled=None,
        requests=options.slots,
        preprocess=preprocess,
        preprocess_is_free=False,
        postprocess=postprocess,
        description=_description(told.name, None, options.labels, inputs, outputs, host, options.slots),
    )


def _description(
    name: str,
    task: Task | None,
    labels: tuple[Label, ...],
    inputs: tuple[TensorDescription, ...],
    outputs: tuple[TensorDescription, ...],
    host: str,
    slots: int,
) -> ModelDescription:
    return ModelDescription(
        name=name,
        model_type="remote",
        task=task,
        labels=tuple(label.name for label in labels),
        inputs=inputs,
        outputs=outputs,
        preprocessing="there" if not inputs else "in Python",
        devices=(host,),
        precision="",
        performance_hint="",
        requests=slots,
        parameters={},
    )


def _described(tensor: TensorMetadata) -> TensorDescription:
    for name, dtype in ELEMENT_TYPES.items():
        if DTYPES.get(tensor.datatype) == dtype:
            return TensorDescription(tensor.name, tensor.shape, name)
    raise LoadError(f"{tensor.name}: there is no array of {tensor.datatype}")


def _check_same(told: tuple[TensorMetadata, ...], known: tuple[TensorDescription, ...], what: str, host: str) -> None:
    """Check that a server's model has the names and element types of the one here; shapes may be told in other ways.

    Some servers do not tell what a model takes and gives.
    """
    if not told:
        return
    there = {tensor.name: tensor for tensor in told}
    for tensor in known:
        other = there.get(tensor.name)
        if other is None:
            raise LoadError(
                f"{host}: its model has no {what} {tensor.name!r}, which the one here has, but {sorted(there)}"
            )
        if _described(other).dtype != tensor.dtype:
            raise LoadError(f"{host}: its {what} {tensor.name!r} is {other.datatype}, here it is {tensor.dtype}")
