"""One tensor: values of JSON, or raw bytes, to an array and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""What arrays of each datatype of the protocol hold; ``BYTES`` are Python's ``bytes``. Bytes are little-endian."""

MAX_RANK = 16

MAX_ELEMENTS = 2**40
"""Of a shape, its sides of 0 taken as 1, since numpy takes them so."""

MAX_TEXTS = 2**17
"""Values of ``BYTES`` in a tensor: each is an object, and takes many times the memory of its length."""


class TensorError(SpecError):
    """It is not a tensor, or not a message with tensors; the message says which one and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An array with its name.

    Attributes:
        name: of the input or output.
        array: its values; of ``bytes`` objects where the datatype is ``BYTES``.
    """

    name: str
    array: NDArray[Any]

    @property
    def datatype(self) -> str:
        """What the protocol calls the type of its elements."""
        return datatype_of(self.array.dtype)


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return what the protocol calls an element type.

    Raises:
        ValueError: the protocol has none for it.
    """
    for name, known in DTYPES.items():
        if known == dtype.newbyteorder("<"):
            return name
    raise ValueError(f"the Open Inference Protocol has no datatype for {dtype}")


def checked_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape that is one.

    Raises:
        TensorError: a side is negative, or there are too many, or they are too large together.
    """
    if (
        len(shape) > MAX_RANK
        or any(side < 0 for side in shape)
        or math.prod(max(side, 1) for side in shape) > MAX_ELEMENTS
    ):
        raise TensorError(f"tensor {_shown(name)}: the shape {list(shape)[:MAX_RANK]} is not one")
    return tuple(shape)


def from_json(name: str, datatype: str, shape: Sequence[int], text: bytes) -> NDArray[Any]:
    """Return the array of values in JSON, nested or flat.

    Raises:
        TensorError: their number is not that of the shape, or one does not fit the datatype.
    """
    dtype, count = _dtype(name, datatype), math.prod(checked_shape(name, shape))
    if datatype == "BYTES":
        _check_texts(name, count)
    else:
        # Before they are read, which takes many times the memory: lists in lists, and values, that the shape has no place for.
        lists = sum(math.prod(shape[:depth]) for depth in range(max(1, len(shape))))
        if text.count(b",") >= max(count, 1) or text.count(b"[") > lists or b"{" in text:
            raise TensorError(f"tensor {_shown(name)}: its values do not make the shape {list(shape)}")
    flat = list(_flat(_decoded(name, text), len(shape)))
    if len(flat) != count:
        raise TensorError(f"tensor {_shown(name)}: {len(flat)} values do not make the shape {list(shape)}")
    if datatype == "BYTES":
        return _bytes_array([_encoded(name, value) for value in flat], shape)
    kinds = {"b": (bool,), "f": (int, float)}
    wanted: tuple[type, ...] = kinds.get(dtype.kind, (int,))
    for value in flat:
        if not isinstance(value, wanted) or (isinstance(value, bool) and dtype.kind != "b"):
            raise TensorError(f"tensor {_shown(name)}: {str(value)[:40]!r} is not a value of {datatype}")
    try:
        with np.errstate(over="raise"):
            array = np.array(flat, np.float64).astype(dtype) if dtype.kind == "f" else np.array(flat, dtype)
            return array.reshape(shape)
    except (OverflowError, FloatingPointError):
        raise TensorError(f"tensor {_shown(name)}: a value is out of the range of {datatype}") from None


def to_values(array: NDArray[Any]) -> list[Any]:
    """Return the values for JSON, flat and in row-major order; what is not UTF-8 text in ``BYTES`` cannot be.

    Raises:
        TensorError: a value of ``BYTES`` is not text.
    """
    flat: list[Any] = array.reshape(-1).tolist()
    if array.dtype != object:
        return flat
    try:
        return [value.decode() for value in flat]
    except UnicodeDecodeError:
        raise TensorError("BYTES that are not text only go out as binary data") from None


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> NDArray[Any]:
    """Return the array of raw bytes, row-major and little-endian. It is read-only, a view of them.

    Raises:
        TensorError: their number is not that of the shape.
    """
    dtype, count = _dtype(name, datatype), math.prod(checked_shape(name, shape))
    if datatype == "BYTES":
        _check_texts(name, count)
        return _bytes_array(_split(name, data, count), shape)
    if len(data) != count * dtype.itemsize:
        raise TensorError(f"tensor {_shown(name)}: {len(data)} bytes do not make {datatype} of the shape {list(shape)}")
    if datatype == "BOOL":  # any other byte than 0 and 1 would be neither true nor false to numpy
        truths: NDArray[Any] = np.frombuffer(data, np.uint8).reshape(shape) != 0
        return truths
    return np.frombuffer(data, dtype).reshape(shape)


def to_bytes(array: NDArray[Any]) -> bytes:
    """Return the raw bytes: row-major and little-endian; each value of ``BYTES`` after its length in four bytes."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(len(value).to_bytes(4, "little") + value for value in array.reshape(-1).tolist())


def _shown(name: str) -> str:
    return repr(name[:40])


def _decoded(name: str, text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TensorError(f"tensor {_shown(name)}: its data is not JSON: {error}") from None


def _dtype(name: str, datatype: str) -> np.dtype[Any]:
    try:
        return DTYPES[datatype]
    except KeyError:
        raise TensorError(
            f"tensor {_shown(name)}: the datatype {datatype[:20]!r} is not known; there are: {', '.join(DTYPES)}"
        ) from None


def _flat(values: object, depth: int) -> Sequence[Any]:
    """Flatten lists in lists, as deep as a shape goes."""
    if not isinstance(values, list):
        return [values]
    for _ in range(depth - 1):
        if not (values and isinstance(values[0], list)):
            break
        values = [value for row in values for value in (row if isinstance(row, list) else [row])]
    return values


def _encoded(name: str, value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    raise TensorError(f"tensor {_shown(name)}: {str(value)[:40]!r} is not a text, as BYTES in JSON are")


def _check_texts(name: str, count: int) -> None:
    if count > MAX_TEXTS:
        raise TensorError(f"tensor {_shown(name)}: it may have {MAX_TEXTS} values of BYTES, got {count}")


def _split(name: str, data: bytes | memoryview, count: int) -> list[bytes]:
    values: list[bytes] = []
    position = 0
    view = memoryview(data)
    while position < len(view) and len(values) <= count:
        start = position + 4
        position = start + int.from_bytes(view[position:start], "little")
        if position > len(view):
            raise TensorError(f"tensor {_shown(name)}: its BYTES are cut off")
        values.append(bytes(view[start:position]))
    if len(values) != count:
        raise TensorError(f"tensor {_shown(name)}: the number of its BYTES is not that of its shape, {count}")
    return values


def _bytes_array(values: Sequence[bytes], shape: Sequence[int]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)
