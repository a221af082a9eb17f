"""From a graph to a wrapped model: pixels in, prediction out, with everything but the inference between."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import openvino as ov
from model_api.models import ImageModel
from numpy.typing import NDArray

from aiohooks.errors import InferenceError, LoadError
from aiohooks.frame import Frame
from aiohooks.inference import features as feature_tensors
from aiohooks.inference import graph, model_types, tile_merging
from aiohooks.inference import parameters as wrapper_parameters
from aiohooks.inference.adapter import GraphAdapter, Preprocessing
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.explanation import Explanation
from aiohooks.inference.features import Features
from aiohooks.inference.label_choice import label_table, wrapper_labels
from aiohooks.inference.labels import LabelTable, given_labels
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.openvino_errors import reason
from aiohooks.inference.tiling import Tiled, Tiling
from aiohooks.prediction import Prediction, Task
from aiohooks.prediction.assemble import changed

logger = logging.getLogger(__name__)

Preprocess = Callable[[NDArray[Any]], tuple[list[NDArray[Any]], dict[str, Any]]]
Postprocess = Callable[[tuple[NDArray[Any], ...], dict[str, Any], Frame], Prediction]


@dataclass(frozen=True, slots=True, eq=False)
class Wrapped:
    """A model before it is compiled.

    Attributes:
        model: the graph, with the preprocessing if it could be embedded.
        model_type: name of the wrapper or the decoder.
        task: None if a decoder decides.
        table: the labels.
        parameters: of the wrapper, in effect.
        preprocess: see `LoadedModel`.
        preprocess_is_free: see `LoadedModel`.
        postprocess: see `LoadedModel`.
        tiled: see `LoadedModel`.
        last_layer: see `LoadedModel`.
    """

    model: ov.Model
    model_type: str
    task: Task | None
    table: LabelTable
    parameters: dict[str, Any]
    preprocess: Preprocess
    preprocess_is_free: bool
    postprocess: Postprocess
    tiled: Tiled | None
    last_layer: Callable[[], LastLayer] | None


def wrap(
    model: ov.Model,
    *,
    device: str,
    model_type: str | None,
    labels: Any,
    decoder: Decoder | None,
    parameters: Mapping[str, Any],
    task_type: str | None,
    preprocessing: Preprocessing = "graph",
    frame_size: tuple[int, int] | None = None,
    features: Features = "auto",
) -> Wrapped:
    """Wrap a model; its graph is changed in place. For the arguments see `load_model`.

    Raises:
        LoadError: what was given and what the file says do not make a model.
    """
    info = graph.metadata(model)
    tiling = wrapper_parameters.tiling(parameters, info)
    wants_tiles = tiling is not None and "tile_size" in parameters
    parameters = {name: value for name, value in parameters.items() if name not in wrapper_parameters.TILE_PARAMETERS}
    if frame_size is not None and preprocessing == "graph":
        parameters["input_frame_height"], parameters["input_frame_width"] = frame_size
    stated = [labels, parameters.pop("labels", None), parameters.pop("path_to_labels", None)]
    given = next((given_labels(choice) for choice in stated if choice is not None), None)
    adapter = _adapter(_prepared(model, info, parameters), info, device, preprocessing)
    outputs = adapter.get_output_layers()

    if decoder is not None:
        cls, count = ImageModel, None
    else:
        cls = model_types.find_wrapper(
            model_type or info.get("model_type") or model_types.detect_type(outputs, has_labels=bool(given))
        )
        count = model_types.class_count(
            cls, outputs, hierarchical=wrapper_parameters.is_set("hierarchical", parameters, info)
        )
    table = label_table(cls, count, info, given)
    configuration = wrapper_parameters.configuration(cls, parameters, info)
    if decoder is None:
        configuration["labels"] = wrapper_labels(cls, table, info)
    wrapper = _wrapper(cls, adapter, configuration)

    # The wrapper does not know of an output that is added now, so that it cannot take it for a result.
    is_exposed = features != "auto" and feature_tensors.expose(adapter.model, features)
    names = [output.get_any_name() for output in adapter.model.outputs]
    preprocess, is_free = _preprocessing(wrapper, adapter, frame_size)
    known = [name for name in names if name != feature_tensors.VECTOR] if is_exposed else names
    if decoder is not None:
        task, postprocess = None, _decoding(decoder, known)
        kind = f"decoder {_name(decoder)}"
    else:
        task, decode = model_types.decode_for(wrapper, table, task_type or info.get("task_type", ""))
        kind = cls.__model__

        def postprocess(outputs: tuple[NDArray[Any], ...], meta: dict[str, Any], _: Frame) -> Prediction:
            return decode(dict(zip(known, outputs, strict=True)), meta)

    if is_exposed:
        postprocess = _with_vector(postprocess, names.index(feature_tensors.VECTOR))
    tiled = None
    if tiling is not None:
        tiled = None if decoder is not None else tile_merging.tiled(wrapper, table, task, tiling, names)
        _check_tiles(model.get_friendly_name(), kind, tiling, tiled, wanted=wants_tiles, frame_size=frame_size)
    return Wrapped(
        model=adapter.model, model_type=kind, task=task, table=table, parameters=wrapper_parameters.in_effect(wrapper),
        preprocess=preprocess, preprocess_is_free=is_free, postprocess=postprocess, tiled=tiled,
        last_layer=_last_layer(wrapper, adapter.model, task) if feature_tensors.VECTOR in names else None,
    )  # fmt: skip


def _check_tiles(
    name: str, kind: str, tiling: Tiling, tiled: Tiled | None, *, wanted: bool, frame_size: tuple[int, int] | None
) -> None:
    if tiled is None and wanted:
        raise LoadError(
            f"what {kind} finds in tiles cannot be merged: only detection, rotated detection, instance segmentation and "
            "semantic segmentation are run on tiles; leave 'tile_size' out"
        )
    if tiled is None:
        logger.warning(
            "model %r was made for tiles of %s pixels, but is run on whole pictures, because what %s finds cannot be merged: "
            "it may miss small objects", name, tiling.tile_size, kind,
        )  # fmt: skip
    elif frame_size is not None:
        raise LoadError(
            "frame_size is the size of all pictures that the model gets, but tiles at the border are smaller; "
            "leave it out, or pass parameters={'tile_size': 0} to infer whole pictures"
        )


def _prepared(model: ov.Model, info: Mapping[str, str], parameters: Mapping[str, Any]) -> ov.Model:
    size: list[int | None] = [None, None]
    if not wrapper_parameters.is_set("embedded_processing", parameters, info):
        size = [wrapper_parameters.whole_number(name, parameters, info) for name in ("orig_height", "orig_width")]
    try:
        graph.name_outputs(model)
        graph.fix_shape(model, *size)
        return graph.accept_rgb(model)
    except Exception as error:
        raise LoadError(f"this is not a model for pictures: {reason(error)}") from error


def _adapter(model: ov.Model, info: Mapping[str, str], device: str, preprocessing: Preprocessing) -> GraphAdapter:
    try:
        return GraphAdapter(model, info, device, preprocessing)
    except RuntimeError as error:
        told = ", ".join(f"{layer.get_any_name()} {layer.partial_shape.to_string()}" for layer in model.inputs)
        raise LoadError(
            f"it takes more than a picture: its inputs are {told}. Export it with the others as constants"
        ) from error


def _wrapper(cls: type[Any], adapter: GraphAdapter, configuration: Mapping[str, Any]) -> Any:
    try:
        with wrapper_parameters.defaults_lock:
            wrapper = cls(adapter, configuration, preload=False)
    except Exception as error:
        message = reason(error).removeprefix(f"{cls.__model__}: ")
        raise LoadError(f"the model does not fit model_type {cls.__model__!r}: {message}") from error
    if wrapper.params.input_dtype != "u8":
        raise LoadError(
            f"the model wants {wrapper.params.input_dtype} pixels, frames have 8 bits; "
            "pass parameters={'input_dtype': 'u8'} if it can do with values in 0–255"
        )
    if model_types.needs_fixed_size(cls) and -1 in (wrapper.h, wrapper.w):
        raise LoadError(
            f"its input has no fixed height and width, which {cls.__model__} needs to place what it finds: "
            "pass parameters={'orig_height': …, 'orig_width': …}"
        )
    if not adapter.embedded and not wrapper_parameters.is_set("embedded_processing", configuration, adapter.info):
        # Several wrappers call their preprocessing embedded although nothing was.
        wrapper._embedded_processing = False
    return wrapper


def _preprocessing(wrapper: Any, adapter: GraphAdapter, frame_size: tuple[int, int] | None) -> tuple[Preprocess, bool]:
    """Return what makes the inputs from the pixels, and whether that costs nothing."""
    inputs = [(layer.get_any_name(), np.dtype(layer.get_element_type().to_dtype())) for layer in adapter.model.inputs]

    def check_size(shape: tuple[int, ...]) -> None:
        if frame_size is not None and shape[:2] != tuple(frame_size):
            found, wanted = ("×".join(map(str, size)) for size in (shape[:2], frame_size))
            raise InferenceError(
                f"it is {found} (height×width), but the model was loaded with frame_size {wanted}; "
                "leave frame_size out for pictures of several sizes"
            )

    @lru_cache(maxsize=64)
    def meta_of(shape: tuple[int, ...]) -> dict[str, Any]:
        check_size(shape)
        _, meta = wrapper.base_preprocess(np.broadcast_to(np.uint8(0), shape))
        return dict(meta)

    def as_they_are(image: NDArray[Any]) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        return [image[None]], meta_of(image.shape).copy()

    def prepared(image: NDArray[Any]) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        check_size(image.shape)
        arrays, meta = wrapper.base_preprocess(image)
        if adapter.use_python_preprocessing:
            arrays = {name: adapter.preprocessor(array) for name, array in arrays.items()}
        return [np.ascontiguousarray(arrays[name], dtype) for name, dtype in inputs], meta

    is_free = bool(wrapper.params.embedded_processing) and len(inputs) == 1 and inputs[0][1] == np.uint8
    return (as_they_are if is_free else prepared), is_free


def _decoding(decoder: Decoder, names: list[str]) -> Postprocess:
    def postprocess(outputs: tuple[NDArray[Any], ...], _: dict[str, Any], frame: Frame) -> Prediction:
        prediction = decoder(dict(zip(names, outputs, strict=True)), frame)
        if not isinstance(prediction, Prediction):
            raise InferenceError(f"{_name(decoder)} must return a Prediction, it returned {type(prediction).__name__}")
        if prediction.size != (frame.height, frame.width):
            raise InferenceError(
                f"{_name(decoder)} returned a prediction of size {prediction.size}; "
                f"size is (height, width) of the frame, here {(frame.height, frame.width)}"
            )
        return prediction

    return postprocess


def _with_vector(postprocess: Postprocess, place: int) -> Postprocess:
    """Return what decodes and adds the feature vector, the output at that place, of which the decoder itself does not know."""

    def with_vector(outputs: tuple[NDArray[Any], ...], meta: dict[str, Any], frame: Frame) -> Prediction:
        vector = Explanation.of({feature_tensors.VECTOR: outputs[place]}).feature_vector
        prediction = postprocess((*outputs[:place], *outputs[place + 1 :]), meta, frame)
        return changed(prediction, feature_vector=vector)

    return with_vector


def _last_layer(wrapper: Any, model: ov.Model, task: Task | None) -> Callable[[], LastLayer] | None:
    if task is not Task.CLASSIFICATION or wrapper.params.hierarchical:
        return None
    head = feature_tensors.find_head(model.output(wrapper.out_layer_names[0]))
    return None if head is None else head.values


def _name(decoder: Decoder) -> str:
    return str(getattr(decoder, "__qualname__", type(decoder).__qualname__))
