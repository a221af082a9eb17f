"""Tiny models in the formats of other frameworks, written byte by byte: their packages are no dependency of the tests."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def onnx_classifier(
    path: Path, metadata: Mapping[str, str], *, last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
) -> Path:
    """Write an ONNX model: a picture [1,3,64,64] to the means of its channels, "logits" [1,3]; and its metadata_props.

    With the weights and bias of a ``last`` layer, these come from the means through a Gemm, as PyTorch exports nn.Linear.
    """
    means = "means" if last else "logits"
    nodes = [_node("GlobalAveragePool", ["image"], "pooled"), _node("Flatten", ["pooled"], means)]
    numbers = []
    if last is not None:
        transposed = _message([(1, b"transB"), (3, 1), (20, 2)])  # name, value, INT
        nodes.append(_node("Gemm", ["means", "weights", "bias"], "logits", transposed))
        numbers = [_tensor("weights", last[0]), _tensor("bias", last[1])]
    graph = (
        [(1, node) for node in nodes]
        + [(5, tensor) for tensor in numbers]
        + [
            (2, b"tiny"),
            (11, _value_info("image", [1, 3, 64, 64])),
            (12, _value_info("logits", [1, 3])),
        ]
    )
    properties = [(14, _message([(1, key.encode()), (2, value.encode())])) for key, value in metadata.items()]
    opset = _message([(1, b""), (2, 13)])
    path.write_bytes(_message([(1, 8), (8, opset), (7, _message(graph)), *properties]))
    return path


def tflite_relu(path: Path) -> Path:
    """Write a TensorFlow Lite model: "picture" [1,64,64,3] to "relu", the same where it is above 0."""
    shape = [1, 64, 64, 3]
    tensors = [(shape, 0, 0, "picture"), (shape, 0, 0, "relu")]  # shape, FLOAT32, buffer, name
    relu = [(0, [0], [1])]  # operator code, inputs, outputs
    subgraph = (tensors, [0], [1], relu, "main")
    model = (3, [(19, None, 1, 19)], [subgraph], "tiny", [(None,)])  # version, RELU, subgraphs, description, buffers
    data = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", data, 0, _flat(data, model))
    path.write_bytes(data)
    return path


def _node(kind: str, sources: list[str], target: str, *attributes: bytes) -> bytes:
    read = [(1, source.encode()) for source in sources]
    return _message([*read, (2, target.encode()), (4, kind.encode()), *((5, attribute) for attribute in attributes)])


def _tensor(name: str, values: NDArray[np.float32]) -> bytes:
    return _message([*((1, size) for size in values.shape), (2, 1), (8, name.encode()), (9, values.tobytes())])


def _value_info(name: str, shape: list[int]) -> bytes:
    dimensions = _message([(1, _message([(1, size)])) for size in shape])
    tensor = _message([(1, 1), (2, dimensions)])  # float32
    return _message([(1, name.encode()), (2, _message([(1, tensor)]))])


def _message(fields: list[tuple[int, int | bytes]]) -> bytes:
    """Encode a protobuf message: numbers as varints, bytes with their length."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += _varint(number << 3) + _varint(value)
        else:
            encoded += _varint(number << 3 | 2) + _varint(len(value)) + value
    return encoded


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _flat(data: bytearray, value: Any) -> int:
    """Append a FlatBuffers object and return where it is: a tuple is a table (None: slot left out), a list a vector."""
    data.extend(b"\0" * (-len(data) % 4))
    if isinstance(value, str):
        start = len(data)
        data += struct.pack("<I", len(value)) + value.encode() + b"\0"
        return start
    if isinstance(value, list):
        start, slots = len(data), value
        data += struct.pack("<I", len(value))
    else:
        offsets = [0 if slot is None else 4 * index + 4 for index, slot in enumerate(value)]
        vtable = struct.pack(f"<HH{len(value)}H", 4 + 2 * len(value), 4 + 4 * len(value), *offsets)
        vtable += b"\0" * (-len(vtable) % 4)
        data += vtable
        start, slots = len(data), list(value)
        data += struct.pack("<i", len(vtable))
    first = len(data)
    data += b"".join(struct.pack("<i", slot if isinstance(slot, int) else 0) for slot in slots)
    for index, slot in enumerate(slots):
        if slot is not None and not isinstance(slot, int):
            place = first + 4 * index
            struct.pack_into("<I", data, place, _flat(data, slot) - place)
    return start
