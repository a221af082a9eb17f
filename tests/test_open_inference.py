"""Messages of the Open Inference Protocol, as bytes and back."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.open_inference import (
    DTYPES,
    InferAnswer,
    InferRequest,
    OutputWish,
    Tensor,
    TensorError,
    datatype_of,
    read_answer,
    read_request,
    write_answer,
    write_request,
)

NUMBERS = [dtype for name, dtype in DTYPES.items() if name != "BYTES"]


def texts(array: NDArray[Any]) -> NDArray[Any]:
    values = np.empty(array.shape, object)
    values[...] = array
    return values


arrays = st.one_of(
    [
        nps.arrays(
            dtype,
            nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None,
        )
        for dtype in NUMBERS
    ]
)
bytes_arrays = st.lists(st.text(max_size=5), max_size=5).map(
    lambda values: texts(np.array([value.encode() for value in values], object)) if values else np.empty(0, object)
)
tensors = st.builds(Tensor, st.sampled_from("abc"), arrays | bytes_arrays)


def same(one: Tensor, other: Tensor) -> bool:
    a, b = one.array, other.array
    return one.name == other.name and one.datatype == other.datatype and a.shape == b.shape and a.tolist() == b.tolist()


@pytest.mark.parametrize("name", ["shared_memory_region", "classification"])
def test_what_would_change_the_answer_is_not_passed_over(name: str) -> None:
    tensor = {"name": "a", "shape": [1], "datatype": "FP32", "data": [1]}
    for message in (
        {"inputs": [tensor], "outputs": [{"name": "b", "parameters": {name: 2}}]},
        {"inputs": [tensor | {"parameters": {name: "r"}}]},
    ):
        with pytest.raises(TensorError, match=f"there is no extension {name} here"):
            read_request(json.dumps(message).encode())


@given(st.lists(tensors, max_size=3), st.booleans(), st.text(max_size=5))
def test_a_request_is_what_it_was(inputs: list[Tensor], binary: bool, name: str) -> None:
    wishes = (OutputWish("x", True), OutputWish("y", False), OutputWish("z"))
    request = InferRequest(tuple(inputs), wishes, id=name, parameters={"binary_data_output": binary})
    read = read_request(*write_request(request, binary=binary))
    assert all(same(*pair) for pair in zip(read.inputs, inputs, strict=True))
    assert (read.outputs, read.id, read.parameters) == (wishes, name, {"binary_data_output": binary})
    assert [read.wants_binary(output) for output in "xyz"] == [True, False, binary]


@given(st.lists(tensors, max_size=3), st.sets(st.sampled_from("abc")))
def test_an_answer_is_what_it_was(outputs: list[Tensor], binary: set[str]) -> None:
    answer = InferAnswer("m", tuple(outputs), version="1", id="7")
    read = read_answer(*write_answer(answer, binary))
    assert all(same(*pair) for pair in zip(read.outputs, outputs, strict=True))
    assert (read.model, read.version, read.id) == ("m", "1", "7")


@given(st.binary(max_size=200), st.none() | st.integers(-5, 250))
def test_bytes_that_are_no_message_say_so(body: bytes, length: int | None) -> None:
    with pytest.raises(TensorError):
        read_request(body, length)


@given(st.sampled_from([*DTYPES]), st.lists(st.sampled_from([0, 1, 2, 2**20, 2**31, 2**62, 2**63 - 1]), max_size=5))
def test_shapes_that_nothing_fills_say_so(datatype: str, shape: list[int]) -> None:
    told: list[dict[str, Any]] = [{"data": []}, {"parameters": {"binary_data_size": 0}}]
    for each in told:
        with suppress(TensorError):
            read_request(request_with(datatype=datatype, shape=shape, **each))


def request_with(**changes: Any) -> bytes:
    tensor: dict[str, Any] = {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    return json.dumps({"inputs": [tensor | changes]}).encode()


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2, 3.0, 4]])
def test_values_may_be_flat_or_nested(data: list[Any]) -> None:
    (tensor,) = read_request(request_with(data=data)).inputs
    assert tensor.array.dtype == np.float32
    assert tensor.array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": [1, 2, 3]}, "do not make the shape"),
        ({"data": [1, 2, 3, 4, 5]}, "do not make the shape"),
        ({"data": [[[1, 2]], [3, 4]]}, "do not make the shape"),
        ({"data": [1, 2, 3, "4"]}, "'4' is not a value of FP32"),
        ({"data": [1, 2, 3, True]}, "'True' is not a value of FP32"),
        ({"data": [1, 2, 3, None]}, "'None' is not a value of FP32"),
        ({"data": [1, 2, 3, 1e39]}, "out of the range of FP32"),
        ({"datatype": "INT8", "data": [1, 2, 3, 128]}, "out of the range of INT8"),
        ({"datatype": "UINT8", "data": [1, 2, 3, -1]}, "out of the range of UINT8"),
        ({"datatype": "INT32", "data": [1, 2, 3, 4.5]}, "'4.5' is not a value of INT32"),
        ({"datatype": "BOOL"}, "'1' is not a value of BOOL"),
        ({"datatype": "BF16"}, "'BF16' is not known"),
        ({"shape": [-2, -2]}, "is not one"),
        ({"shape": [1] * 17}, "is not one"),
        ({"shape": [0, 2**62, 2**62], "data": []}, "is not one"),
        ({"shape": [2**62, 0], "data": []}, "is not one"),
        ({"shape": [2**17 + 1], "datatype": "BYTES", "data": []}, "may have 131072 values"),
        ({"shape": [0, 2**62, 2**62], "parameters": {"binary_data_size": 0}}, "is not one"),
        ({"shape": [2**20], "datatype": "BYTES", "parameters": {"binary_data_size": 0}}, "may have 131072 values"),
        ({"data": None}, "neither data nor"),
        ({"name": 5}, r"\$.inputs\[0\].name"),
    ],
)
def test_messages_say_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        read_request(request_with(**changes))


def test_bytes_behind_the_json_belong_to_somebody() -> None:
    body = request_with()
    with pytest.raises(TensorError, match="2 bytes after the JSON belong to no tensor"):
        read_request(body + b"xx", len(body))


def test_tensors_are_read_in_place() -> None:
    body, length = write_request(InferRequest((Tensor("a", np.arange(6, dtype=np.uint8)),)))
    (tensor,) = read_request(body, length).inputs
    assert not tensor.array.flags.owndata


@pytest.mark.parametrize("dtype", ["complex64", "U3", "datetime64[s]"])
def test_what_the_protocol_has_no_name_for(dtype: str) -> None:
    with pytest.raises(ValueError, match="has no datatype"):
        datatype_of(np.dtype(dtype))


def test_big_endian_arrays_go_out_little_endian() -> None:
    tensor = Tensor("a", np.array([1, 2], ">i4"))
    read = read_answer(*write_answer(InferAnswer("m", (tensor,)), {"a"}))
    assert read.outputs[0].array.tolist() == [1, 2]
    assert tensor.datatype == "INT32"
