"""From a file to a `LoadedModel`: read, wrap, compile. Slow and synchronous: meant for a worker thread."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

import openvino as ov

from aiohooks.errors import LoadError
from aiohooks.inference.adapter import Preprocessing
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.features import Features
from aiohooks.inference.labels import GivenLabels
from aiohooks.inference.loaded_model import LoadedModel, ModelDescription, TensorDescription
from aiohooks.inference.openvino_core import core
from aiohooks.inference.openvino_errors import reason
from aiohooks.inference.wrapping import Wrapped, wrap

logger = logging.getLogger(__name__)

ModelSource: TypeAlias = str | os.PathLike[str] | ov.Model
"""Path of an .xml, .onnx or .tflite file, or a model in memory."""

DEFAULT_HINT = "THROUGHPUT"
"""Many inferences at once, each on fewer cores: streams and concurrent callers are what this package is for. Where
single answers must come fast, LATENCY gives every inference all cores."""

PER_OPTIMAL = 2
"""Inferences at once for each one that the device calls optimal: with a second one queued it never waits for Python. More
gains nothing."""

_FORMATS = "an OpenVINO .xml (with its .bin beside it), an .onnx or a .tflite file"
_OF_TRAINING = (".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".keras")


def load_model(
    source: ModelSource,
    *,
    device: str = "CPU",
    config: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    labels: GivenLabels | None = None,
    decoder: Decoder | None = None,
    max_requests: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    performance_hint: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing = "graph",
    frame_size: tuple[int, int] | None = None,
    features: Features = "auto",
    task_type: str | None = None,
    name: str | None = None,
) -> LoadedModel:
    """Read, wrap and compile a model.

    Args:
        source: the model.
        device: OpenVINO device, such as ``CPU``, ``GPU`` or ``AUTO:GPU,CPU``.
        config: OpenVINO properties for compiling; they win over the keywords below.
        model_type: Model API's name of the wrapper; by default what the metadata says.
        labels: names, labels, or the path of a text file of names; by default what the metadata says. Labels with ids (a
            project's) may come in any order.
        decoder: decodes the outputs instead of a wrapper.
        max_requests: how many inferences can run at once; by default twice what the device calls optimal.
        parameters: Model API parameters, such as ``confidence_threshold`` or ``mean_values``; they win over the metadata. Those of
            its tilers (see `Tiling`) are among them: ``tile_size`` has pictures inferred in tiles, 0 as a whole.
        performance_hint: ``THROUGHPUT`` (default) or ``LATENCY``.
        cache_dir: folder where compiled models are kept, so that loading them again is fast.
        preprocessing: ``graph`` resizes and normalises inside the model, fastest and exactly rounded; ``opencv`` does it as
            most training code does, in a worker thread.
        frame_size: height and width of all pictures to come, if they are known.
        features: ``"auto"`` gives predictions the feature vector that the model gives; True exposes what its last layer reads where
            it gives none; a name exposes the tensor of that name.
        task_type: what Geti's project calls the task, where the metadata knows less.
        name: for messages; by default the file's.

    Raises:
        LoadError: the message names the file and says what is wrong and what to pass instead.
    """
    place = source.get_friendly_name() if isinstance(source, ov.Model) else os.fspath(source)
    try:
        _check(max_requests, decoder, preprocessing, frame_size)
        model = source.clone() if isinstance(source, ov.Model) else _read(Path(source))
        wrapped = wrap(
            model,
            device=device,
            model_type=model_type,
            labels=labels,
            decoder=decoder,
            parameters=parameters or {},
            task_type=task_type,
            preprocessing=preprocessing,
            frame_size=frame_size,
            features=features,
        )
        compiled = _compile(wrapped.model, device, _properties(config, performance_hint, max_requests, cache_dir))
        requests = max_requests or PER_OPTIMAL * int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    except LoadError as error:
        raise LoadError(f"{place}: {error}") from error.__cause__
    if wrapped.tiled is not None and not isinstance(source, ov.Model):
        _warn_of_tile_classifier(Path(source))
    name = name or (place if isinstance(source, ov.Model) else Path(source).stem)
    return LoadedModel(
        name=name, task=wrapped.task, labels=wrapped.table.all, compiled=compiled, requests=requests,
        preprocess=wrapped.preprocess, preprocess_is_free=wrapped.preprocess_is_free, postprocess=wrapped.postprocess,
        description=_description(name, wrapped, compiled, requests), tiled=wrapped.tiled,
        last_layer=wrapped.last_layer,
    )  # fmt: skip


def load_uncompiled(
    source: ModelSource,
    *,
    requests: int,
    model_type: str | None = None,
    labels: GivenLabels | None = None,
    decoder: Decoder | None = None,
    parameters: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing = "opencv",
) -> LoadedModel:
    """Read and wrap a model that runs elsewhere; arguments and errors as of `load_model`.

    Args:
        source: the model.
        requests: how many inferences it should run at once.
        model_type: Model API's name of the wrapper.
        labels: by default what the metadata says.
        decoder: decodes the outputs instead of a wrapper.
        parameters: Model API parameters.
        preprocessing: ``opencv`` where the model elsewhere is the same file; ``graph`` where what runs there has it embedded.
    """
    place = source.get_friendly_name() if isinstance(source, ov.Model) else os.fspath(source)
    try:
        _check(requests, decoder, preprocessing, None)
        wrapped = wrap(
            source.clone() if isinstance(source, ov.Model) else _read(Path(source)),
            device="CPU",
            model_type=model_type,
            labels=labels,
            decoder=decoder,
            parameters=parameters or {},
            task_type=None,
            preprocessing=preprocessing,
            frame_size=None,
        )
    except LoadError as error:
        raise LoadError(f"{place}: {error}") from error.__cause__
    name = place if isinstance(source, ov.Model) else Path(source).stem
    return LoadedModel(
        name=name, task=wrapped.task, labels=wrapped.table.all, compiled=None, requests=requests,
        preprocess=wrapped.preprocess, preprocess_is_free=wrapped.preprocess_is_free, postprocess=wrapped.postprocess,
        description=_description(name, wrapped, None, requests), tiled=wrapped.tiled,
    )  # fmt: skip


def _warn_of_tile_classifier(path: Path) -> None:
    if path.with_name("tile_classifier.xml").exists():
        logger.warning(
            "%s has a tile_classifier.xml beside it, which is not used: all tiles are inferred, so there may be more objects",
            path,
        )


def _check(max_requests: int | None, decoder: object, preprocessing: str, frame_size: tuple[int, int] | None) -> None:
    if frame_size is not None and (len(tuple(frame_size)) != 2 or min(frame_size) < 1):
        raise LoadError(f"frame_size must be height and width in pixels, got {frame_size}")
    if preprocessing not in get_args(Preprocessing):
        raise LoadError(f"preprocessing must be graph or opencv, got {preprocessing!r}")
    if max_requests is not None and max_requests < 1:
        raise LoadError(f"max_requests must be at least 1, got {max_requests}")
    if decoder is not None and not callable(decoder):
        raise LoadError(f"decoder must be a function of outputs and frame, got {type(decoder).__name__}")


def _read(path: Path) -> ov.Model:
    if path.is_dir():
        raise LoadError(f"this is a folder; pass {_FORMATS}")
    if not path.is_file():
        raise LoadError(f"there is no such file; expected {_FORMATS}")
    if path.suffix.lower() in _OF_TRAINING:
        raise LoadError(
            f"{path.suffix} is a format for training: export the model to ONNX or OpenVINO first; expected {_FORMATS}"
        )
    try:
        return core().read_model(path)
    except Exception as error:
        weights = path.with_suffix(".bin")
        if "bin file" in str(error) and not weights.is_file():
            raise LoadError(f"its weights are not beside it: copy {weights.name} into the same folder") from error
        raise LoadError(f"OpenVINO cannot read this as a model ({_FORMATS}): {reason(error)}") from error


def _properties(
    config: Mapping[str, Any] | None,
    performance_hint: str | None,
    max_requests: int | None,
    cache_dir: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    properties: dict[str, Any] = {"PERFORMANCE_HINT": (performance_hint or DEFAULT_HINT).upper()}
    if max_requests is not None:
        properties["PERFORMANCE_HINT_NUM_REQUESTS"] = max_requests
    if cache_dir is not None:
        properties["CACHE_DIR"] = os.fspath(cache_dir)
    return properties | dict(config or {})


def _compile(model: ov.Model, device: str, properties: dict[str, Any]) -> ov.CompiledModel:
    try:
        return core().compile_model(model, device, properties)
    except Exception as error:
        if device != device.upper():
            raise LoadError(f"there is no device {device!r}: OpenVINO writes {device.upper()!r}") from error
        devices = ", ".join(core().available_devices)
        raise LoadError(
            f"OpenVINO cannot compile it for device {device!r} (found here: {devices}): {reason(error)}"
        ) from error


def _description(name: str, wrapped: Wrapped, compiled: ov.CompiledModel | None, requests: int) -> ModelDescription:
    layers = wrapped.model if compiled is None else compiled
    return ModelDescription(
        name=name,
        model_type=wrapped.model_type,
        task=wrapped.task,
        labels=tuple(label.name for label in wrapped.table.all),
        inputs=tuple(_tensor(layer, layer.get_any_name()) for layer in layers.inputs),
        # Compiling may join an output with a tensor inside that has another name.
        outputs=tuple(
            _tensor(layer, named.get_any_name())
            for layer, named in zip(layers.outputs, wrapped.model.outputs, strict=True)
        ),
        preprocessing="in the graph" if wrapped.preprocess_is_free else "in Python",
        devices=tuple(_property(compiled, "EXECUTION_DEVICES", [])),
        precision=_type_name(_property(compiled, "INFERENCE_PRECISION_HINT", "")),
        performance_hint=str(getattr(hint := _property(compiled, "PERFORMANCE_HINT", ""), "name", hint)),
        requests=requests,
        parameters=wrapped.parameters,
        tiling=wrapped.tiled.tiling if wrapped.tiled else None,
    )


def _tensor(layer: ov.Output, name: str) -> TensorDescription:
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in layer.partial_shape)
    return TensorDescription(name, shape, layer.get_element_type().get_type_name())


def _property(compiled: ov.CompiledModel | None, key: str, default: Any) -> Any:
    if compiled is None:
        return default
    try:
        return compiled.get_property(key)
    except RuntimeError:  # not every device has every property
        return default


def _type_name(element_type: Any) -> str:
    return element_type.get_type_name() if isinstance(element_type, ov.Type) else str(element_type)
