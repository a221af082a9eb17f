"""The tensor before a classifier's last layer, and that layer, in a graph.

Nothing is assumed about where a model is from: the last layer is what lies between the scores and the first product with constant
weights behind them, whatever softmax, reshaping, pooling or quantisation lies in between.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from aiohooks.errors import LoadError
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.openvino_core import core

Features: TypeAlias = Literal[True] | str
"""``"auto"``: those that the model gives itself; True: these, or else what its last layer reads; or the name of a tensor."""

VECTOR = "feature_vector"
"""Name of the output."""

_MOST_STEPS = 64
_FEWEST_CHANNELS = 8
_CHANGE_NO_ORDER = frozenset(
    {"Result", "Softmax", "LogSoftmax", "Sigmoid", "Convert", "Reshape", "Squeeze", "Unsqueeze", "FakeQuantize"}
)
_AVERAGES = frozenset({"ReduceMean", "AvgPool", "AdaptiveAvgPool"})


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The last layer as it is in the graph.

    Attributes:
        features: what it reads; to be averaged over positions if there are several.
        weights: a constant, perhaps compressed or quantised.
        bias: likewise, or None.
        has_classes_first: whether the weights are C×D; else D×C.
    """

    features: ov.Output
    weights: ov.Output
    bias: ov.Output | None
    has_classes_first: bool

    def values(self) -> LastLayer:
        """Return the layer's numbers. Compiles a graph of constants: takes milliseconds."""
        weights = _constant(self.weights)
        weights = weights.reshape(weights.shape[:2])
        weights = np.ascontiguousarray(weights if self.has_classes_first else weights.T)
        bias = np.zeros(1, np.float32) if self.bias is None else _constant(self.bias).reshape(-1)
        return LastLayer(weights, np.ascontiguousarray(np.broadcast_to(bias, len(weights))))


def find_head(scores: ov.Output) -> Head | None:
    """Return the last layer of a classifier; None if there is no linear one.

    Args:
        scores: its logits or probabilities, 1×C or 1×C×1×1.
    """
    bias: ov.Output | None = None
    scale: ov.Output | None = None
    at, is_averaged = scores, False
    for _ in range(_MOST_STEPS):
        node = at.get_node()
        kind = node.get_type_name()
        if kind in _CHANGE_NO_ORDER or kind in _AVERAGES:
            is_averaged |= kind in _AVERAGES
            at = node.input_value(0)
        elif kind == "Add" and bias is None:
            sides = [node.input_value(0), node.input_value(1)]
            constants = [side for side in sides if _is_constant(side)]
            if len(constants) != 1:
                return None
            [bias] = constants
            [at] = [side for side in sides if side not in constants]
        elif kind == "Multiply" and scale is None:
            # ONNX's Gemm, which PyTorch exports of a linear layer, is read as product · alpha + beta · bias.
            [at, scale] = sorted(node.input_values(), key=_is_constant)
            if not _is_one_number(scale) or at.get_node().get_type_name() != "MatMul":
                return None
        elif kind == "MatMul" and _is_constant(node.input_value(1)):
            weights = node.input_value(1) if scale is None else op.multiply(node.input_value(1), scale).output(0)
            head = Head(node.input_value(0), weights, bias, node.get_attributes()["transpose_b"])
            return head if _fits(head, 2, is_averaged=False) else None
        elif kind == "Convolution" and _is_constant(node.input_value(1)):
            head = Head(node.input_value(0), node.input_value(1), bias, has_classes_first=True)
            return head if _fits(head, 4, is_averaged=is_averaged) else None
        else:
            return None
    return None


def expose(model: ov.Model, features: Features) -> bool:
    """Give a model the output ``feature_vector``, 1×D, in place of any that it has; a tensor with positions is averaged over them.

    Args:
        model: changed in place.
        features: True for what the last layer reads, unless it has such an output; or the name of a tensor.

    Returns:
        Whether it was changed.

    Raises:
        LoadError: there is no such tensor; the message names some that there are.
    """
    own = [output for output in model.outputs if VECTOR in output.get_names()]
    if features is True:
        if own:
            return False
        heads = (find_head(output) for output in model.outputs)
        head = next((head for head in heads if head is not None), None)
        if head is None:
            raise LoadError(
                "its last layer was not found, as it is not one product with constant weights, which only classifiers have: "
                "name the tensor to take for a feature vector, features='…' (--features on the command line), such as "
                + _some_tensors(model)
            )
        tensor = head.features
    else:
        tensor = _named(model, features)
    for output in own:
        model.remove_result(output.get_node())
    vector = op.convert(op.reshape(_averaged(tensor), np.array([1, -1]), special_zero=False), "f32")
    vector.output(0).get_tensor().set_names({VECTOR})
    model.add_results([op.result(vector)])
    model.validate_nodes_and_infer_types()
    return True


def _fits(head: Head, rank: int, *, is_averaged: bool) -> bool:
    """Tell whether the weights make one number per class of the features of one picture."""
    weights, features = head.weights.partial_shape, head.features.partial_shape
    if weights.is_dynamic or len(weights) != rank or features.rank.is_dynamic or len(features) < 2:
        return False
    sizes = [size.get_length() for size in weights]
    if any(size != 1 for size in sizes[2:]):
        return False
    width = sizes[1] if head.has_classes_first else sizes[0]
    channels, positions = (features[1], list(features)[2:]) if rank == 4 else (features[-1], list(features)[1:-1])
    if channels.is_dynamic or channels.get_length() != width:
        return False
    return is_averaged or all(size.is_static and size.get_length() == 1 for size in positions)


def _averaged(tensor: ov.Output) -> ov.Output:
    """Return the tensor without its positions: the channels are the second dimension of four, else the last."""
    shape = tensor.partial_shape
    if shape.rank.is_dynamic or len(shape) not in (3, 4):
        return tensor
    axes = [2, 3] if len(shape) == 4 else [1]
    if len(shape) == 4 and shape[1] == shape[2] and shape[2] != shape[3]:
        axes = [1, 2]  # of a model that has its channels last
    if all(shape[axis].is_static and shape[axis].get_length() == 1 for axis in axes):
        return tensor
    return op.reduce_mean(tensor, np.array(axes), keep_dims=False).output(0)


def _named(model: ov.Model, name: str) -> ov.Output:
    found = {known: output for output, names in _tensors(model) for known in names}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=5) or [_some_tensors(model)]
        raise LoadError(
            f"it has no tensor {name!r} to take for a feature vector; there are, among others, {', '.join(near)}"
        )
    if found[name].get_element_type() not in (ov.Type.f32, ov.Type.f16, ov.Type.bf16):
        raise LoadError(
            f"the tensor {name!r} is no feature vector: it holds {found[name].get_element_type().get_type_name()}"
        )
    return found[name]


def _tensors(model: ov.Model) -> Iterator[tuple[ov.Output, list[str]]]:
    """Yield what is computed in a model, from the input on, with the names of each."""
    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("Constant", "Result", "Parameter"):
            for output in node.outputs():
                names = sorted(output.get_names())
                if node.get_output_size() == 1:
                    names.append(node.get_friendly_name())
                yield output, names


def _some_tensors(model: ov.Model) -> str:
    """Return the names of the last few tensors that could be features."""
    found: list[str] = []
    for output, names in _tensors(model):
        shape = output.partial_shape
        if shape.rank.is_dynamic or len(shape) not in (2, 4) or shape[1].is_dynamic or _is_constant(output):
            continue
        if shape[1].get_length() >= _FEWEST_CHANNELS and output.get_node().get_type_name() != "FakeQuantize":
            found.append(f"{names[0]!r} {shape.to_string()}")
    return ", ".join(found[:-7:-1]) or "none that is wide enough"


def _is_constant(tensor: ov.Output, depth: int = 12) -> bool:
    """Tell whether a tensor is computed of constants only."""
    node = tensor.get_node()
    if node.get_type_name() == "Constant":
        return True
    inputs = node.input_values()
    return depth > 0 and bool(inputs) and all(_is_constant(one, depth - 1) for one in inputs)


def _is_one_number(tensor: ov.Output) -> bool:
    return _is_constant(tensor) and tensor.partial_shape in (ov.PartialShape([]), ov.PartialShape([1]))


def _constant(tensor: ov.Output) -> NDArray[np.float32]:
    graph = ov.Model([op.result(op.convert(tensor, "f32"))], [], "constant")
    compiled = core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled()[0], np.float32)
