"""Requests and answers: JSON, and after it the raw bytes of those tensors that are sent as such."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from aiohooks.open_inference.tensor import Tensor, TensorError, from_bytes, from_json, to_bytes, to_values

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
"""Header with the length of the JSON, where raw bytes come after it."""

_BINARY_SIZE = "binary_data_size"
_EXTENSIONS = ("shared_memory_region", "classification")  # of Triton

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class OutputWish:
    """An output that a client asks for.

    Attributes:
        name: of the output.
        is_binary: as raw bytes, or in the JSON; None where the request as a whole says it.
    """

    name: str
    is_binary: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """What a client asks for.

    Attributes:
        inputs: the tensors.
        outputs: which outputs it wants; empty for those that the server chooses.
        id: to be given back with the answer.
        parameters: whatever else; ``binary_data_output`` says how outputs come by default.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[OutputWish, ...] = ()
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def wants_binary(self, output: str) -> bool:
        """Tell how an output is to come."""
        for wish in self.outputs:
            if wish.name == output and wish.is_binary is not None:
                return wish.is_binary
        return self.parameters.get("binary_data_output") is True


@dataclass(frozen=True, slots=True, eq=False)
class InferAnswer:
    """What a server says.

    Attributes:
        model: that answered.
        outputs: the tensors.
        version: of the model.
        id: that the request had.
    """

    model: str
    outputs: tuple[Tensor, ...]
    version: str = ""
    id: str = ""


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] | None = None


class _Wish(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    outputs: list[_Wish] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    outputs: list[_Tensor]
    model_name: str = ""
    model_version: str | None = None
    id: str | None = None


def read_request(body: bytes, json_length: int | None = None) -> InferRequest:
    """Read a request.

    Args:
        body: of HTTP, decompressed.
        json_length: what the header `JSON_LENGTH_HEADER` says, if it is there.

    Raises:
        TensorError: it is not a request; the message says what is wrong.
    """
    head, raw = _split(body, json_length)
    request = _decode(head, _Request)
    _refuse_extensions([*request.inputs, *(request.outputs or ())])
    wishes = [OutputWish(wish.name, _flag(wish.parameters)) for wish in request.outputs or ()]
    return InferRequest(
        _tensors(request.inputs, raw), tuple(wishes), id=request.id or "", parameters=request.parameters or {}
    )


def write_request(request: InferRequest, *, binary: bool = True) -> tuple[bytes, int | None]:
    """Write a request, with its tensors as raw bytes or in the JSON.

    Returns:
        The body, and the length of its JSON if raw bytes come after it.
    """
    names = {tensor.name for tensor in request.inputs} if binary else set()
    inputs, raw = _written(request.inputs, names)
    message: dict[str, Any] = {"inputs": inputs}
    if request.id:
        message["id"] = request.id
    if request.parameters:
        message["parameters"] = request.parameters
    if request.outputs:
        message["outputs"] = [
            {"name": wish.name} | ({} if wish.is_binary is None else {"parameters": {"binary_data": wish.is_binary}})
            for wish in request.outputs
        ]
    return _joined(message, raw)


def read_answer(body: bytes, json_length: int | None = None) -> InferAnswer:
    """Read an answer; arguments and errors as of `read_request`."""
    head, raw = _split(body, json_length)
    answer = _decode(head, _Answer)
    return InferAnswer(
        answer.model_name, _tensors(answer.outputs, raw), version=answer.model_version or "", id=answer.id or ""
    )


def write_answer(answer: InferAnswer, binary: Collection[str] = ()) -> tuple[bytes, int | None]:
    """Write an answer.

    Args:
        answer: what to write.
        binary: names of the outputs that are written as raw bytes.

    Returns:
        The body, and the length of its JSON if raw bytes come after it.

    Raises:
        TensorError: an output cannot be written in JSON.
    """
    outputs, raw = _written(answer.outputs, binary)
    message: dict[str, Any] = {"model_name": answer.model, "outputs": outputs}
    if answer.version:
        message["model_version"] = answer.version
    if answer.id:
        message["id"] = answer.id
    return _joined(message, raw)


def _split(body: bytes, json_length: int | None) -> tuple[memoryview, memoryview]:
    view = memoryview(body)
    if json_length is None:
        return view, view[len(view) :]
    if not 0 < json_length <= len(view):
        raise TensorError(f"{JSON_LENGTH_HEADER}: {json_length} does not lie within the {len(view)} bytes of the body")
    return view[:json_length], view[json_length:]


def _decode(head: memoryview, kind: type[M]) -> M:
    try:
        return msgspec.json.decode(head, type=kind)
    except RecursionError:
        raise TensorError("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TensorError(f"the JSON is not that of an inference: {error}") from None


def _refuse_extensions(named: Sequence[_Tensor | _Wish]) -> None:
    """Refuse what would change the answer, and is not done here."""
    for each in named:
        for name in _EXTENSIONS:
            if (each.parameters or {}).get(name):
                raise TensorError(f"tensor {each.name[:40]!r}: there is no extension {name} here; leave it out")


def _tensors(described: Sequence[_Tensor], raw: memoryview) -> tuple[Tensor, ...]:
    tensors, position = [], 0
    for tensor in described:
        size = (tensor.parameters or {}).get(_BINARY_SIZE)
        if size is None:
            if bytes(tensor.data) in (b"", b"null"):
                raise TensorError(f"tensor {tensor.name[:40]!r}: it has neither data nor {_BINARY_SIZE}")
            array = from_json(tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data))
        else:
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(raw) - position:
                raise TensorError(
                    f"tensor {tensor.name[:40]!r}: there are no {str(size)[:40]} bytes of it after the JSON"
                )
            array = from_bytes(tensor.name, tensor.datatype, tensor.shape, raw[position : position + size])
            position += size
        tensors.append(Tensor(tensor.name, array))
    if position != len(raw):
        raise TensorError(f"{len(raw) - position} bytes after the JSON belong to no tensor")
    return tuple(tensors)


def _written(tensors: Sequence[Tensor], binary: Collection[str]) -> tuple[list[dict[str, Any]], list[bytes]]:
    described, raw = [], []
    for tensor in tensors:
        about: dict[str, Any] = {
            "name": tensor.name,
            "shape": list(tensor.array.shape),
            "datatype": tensor.datatype,
        }
        if tensor.name in binary:
            data = to_bytes(tensor.array)
            about["parameters"] = {_BINARY_SIZE: len(data)}
            raw.append(data)
        else:
            about["data"] = to_values(tensor.array)
        described.append(about)
    return described, raw


def _joined(message: Mapping[str, Any], raw: Sequence[bytes]) -> tuple[bytes, int | None]:
    head = msgspec.json.encode(message)
    return (b"".join([head, *raw]), len(head)) if raw else (head, None)


def _flag(parameters: Mapping[str, Any] | None) -> bool | None:
    value = (parameters or {}).get("binary_data")
    return value if isinstance(value, bool) else None
