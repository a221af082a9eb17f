"""Small changes to a model's graph before it is wrapped, and what the file says about the model."""

from collections.abc import Mapping
from typing import Any

import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

_WELL_KNOWN_OUTPUTS = frozenset(
    {"feature_vector", "saliency_map", "pred_score", "pred_label", "pred_mask", "anomaly_map"}
)


def metadata(model: ov.Model) -> dict[str, str]:
    """Return Model API's metadata: ``model_info`` of an .xml, or the properties of an .onnx whose keys start with it."""
    runtime_info: Mapping[str, Any] = model.get_rt_info()
    # OpenVINO keeps the metadata_props of an ONNX model under "framework".
    framework = {
        key.removeprefix("model_info "): value
        for key, value in _entries(runtime_info, "framework").items()
        if key.startswith("model_info ")
    }
    return {key: _text(value) for key, value in (framework | _entries(runtime_info, "model_info")).items()}


def name_outputs(model: ov.Model) -> None:
    """Give every output one name: a well-known one of those it has, else its first."""
    for output in model.outputs:
        names = sorted(output.get_names())
        output.get_tensor().set_names({next((name for name in names if name in _WELL_KNOWN_OUTPUTS), names[0])})


def image_input(model: ov.Model) -> int:
    """Return the position of the picture among the inputs: the first of four dimensions.

    Raises:
        ValueError: there is none.
    """
    for index, model_input in enumerate(model.inputs):
        if model_input.partial_shape.rank.is_static and len(model_input.partial_shape) == 4:
            return index
    raise ValueError("no input has four dimensions, as a picture has")


def fix_shape(model: ov.Model, height: int | None, width: int | None) -> None:
    """Set the batch to one and, if they are given, a free height and width to these.

    Raises:
        ValueError: the input has another fixed batch, or channels that a picture has not.
    """
    image = model.inputs[image_input(model)]
    shape = image.partial_shape
    if shape[0].is_dynamic:
        shape[0] = 1
    if shape[0] != 1:
        raise ValueError(
            f"{_told(image)} takes {shape[0]} pictures at once; export it with a batch of 1, or a free one"
        )
    row, column = (2, 3) if is_nchw(shape) else (1, 2)
    channels = shape[1] if is_nchw(shape) else shape[3]
    if channels not in (1, 3) and channels.is_static:
        raise ValueError(f"{_told(image)} takes {channels} channels, and a picture has 1 or 3")
    if height and width and shape[row].is_dynamic and shape[column].is_dynamic:
        shape[row], shape[column] = height, width
    model.reshape({image: shape})


def accept_rgb(model: ov.Model) -> ov.Model:
    """Return the model with a conversion from RGB in front if it takes grey pictures, else as it is."""
    index = image_input(model)
    shape = model.inputs[index].partial_shape
    channels = shape[1] if is_nchw(shape) else shape[3]
    if channels.is_dynamic or channels.get_length() != 1:
        return model
    layout = ov.Layout("NCHW" if is_nchw(shape) else "NHWC")
    steps = PrePostProcessor(model)
    image = steps.input(index)
    image.tensor().set_layout(layout).set_color_format(ColorFormat.RGB)
    image.preprocess().convert_color(ColorFormat.GRAY)
    image.model().set_layout(layout)
    return steps.build()


def is_nchw(shape: ov.PartialShape) -> bool:
    """Tell whether the channels come before height and width, by Model API's rule: at most four of them."""
    return bool(shape[1].is_static and shape[1].get_length() <= 4)


def _told(model_input: ov.Output) -> str:
    return f"its input {model_input.get_any_name()} {model_input.partial_shape.to_string()}"


def _entries(runtime_info: Mapping[str, Any], key: str) -> dict[str, Any]:
    if key not in runtime_info:
        return {}
    value = runtime_info[key]
    return dict(value.astype(dict) if isinstance(value, ov.OVAny) else value)


def _text(value: Any) -> str:
    return str(value.astype(str)) if isinstance(value, ov.OVAny) else str(value)
