"""Reads the weights out of a file of ``torch.save`` without torch, and without running anything.

Such a file is a pickle, which is a program for a stack machine. The machine here knows the few instructions that
a state dict needs and three names, which it never looks up: they only say that a tensor or a mapping is meant.

The format read is the one before torch 1.6 (``torch.serialization._legacy_save``): a magic number, a protocol
number, facts about the machine that wrote it, the state dict, the keys of its storages, and then for each storage
its number of elements (int64) and the elements, little-endian.
"""

import io
import math
import pickletools
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import LoadError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
}
_MAPPING = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_MARK = object()


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a state dict by name.

    Args:
        path: a file written by ``torch.save(model.state_dict(), path)`` in the format before torch 1.6.

    Raises:
        LoadError: the file is damaged, has another format, or holds anything but tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error"
            )  # Python warns of escapes that it does not know, in strings of a damaged file
            return _read(io.BytesIO(path.read_bytes()))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, struct.error, Warning) as error:
        raise LoadError(
            f"{path.name} is not a state dict in torch's format before 1.6, or is damaged: {error}"
        ) from error


def _read(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    if _run(file) != _MAGIC or _run(file) != _PROTOCOL:
        raise ValueError("it does not begin with torch's magic number")
    if not _run(file)["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    tensors = _run(file)
    if not isinstance(tensors, dict) or not all(type(tensor) is _Tensor for tensor in tensors.values()):
        raise ValueError("it holds something else than a mapping of tensors")
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in _run(file)}
    return {str(name): _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_storage(file: io.BytesIO, dtype: str) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    size = count * np.dtype(dtype).itemsize
    content = file.read(size) if count >= 0 else b""
    if len(content) != size:
        raise ValueError(f"a storage of {count} elements is cut off")
    return np.frombuffer(content, dtype)


def _view(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    integers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(type(number) is int and number >= 0 for number in integers) or len(tensor.shape) != len(tensor.strides):
        raise ValueError(f"a tensor has offset, shape and strides {integers}")
    last = tensor.offset + sum(
        (length - 1) * stride for length, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if math.prod(tensor.shape) > storage.size or last >= storage.size:
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage of {storage.size} elements")
    # Some weights are stored permuted, so the strides count. The bounds were just checked.
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()


def _run(file: io.BytesIO) -> Any:
    """Run one program of the file, up to its STOP, and return what it made."""
    stack: list[Any] = []
    memory: dict[Any, Any] = {}
    for opcode, argument, position in pickletools.genops(file):
        match opcode.name:
            case "PROTO":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE" | "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(opcode.name, argument))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                stack.append(_MARK)
            case "BINPUT" | "LONG_BINPUT":
                memory[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memory[argument])
            case "TUPLE":
                stack.append(tuple(_pop_to_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = _pop_to_mark(stack)
                stack[-1].extend(items)
            case "SETITEM":
                key, value = stack.pop(-2), stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                items = _pop_to_mark(stack)
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "GLOBAL":
                stack.append(_Name(str(argument)))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_make(stack.pop(), arguments))
            case "BUILD":
                stack.pop()  # torch keeps version numbers of modules there
            case "STOP":
                (result,) = stack
                return result
            case name:
                raise ValueError(f"instruction {name} at byte {position} is not one that weights need: refused")
    raise ValueError("a program has no end")


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    mark = max(index for index, item in enumerate(stack) if item is _MARK)
    items = stack[mark + 1 :]
    del stack[mark:]
    return items


def _storage(identity: Any) -> _Storage:
    kind, storage_type, key, _location, _count, view = identity
    if kind != "storage" or type(storage_type) is not _Name or storage_type.name not in _STORAGES or view is not None:
        raise ValueError(f"a storage of an unknown kind: {kind}, {storage_type}")
    return _Storage(str(key), _STORAGES[storage_type.name])


def _make(function: Any, arguments: Any) -> Any:
    if function == _Name(_MAPPING) and arguments == ():
        return {}
    if function == _Name(_TENSOR):
        storage, offset, shape, strides, _requires_grad, _hooks = arguments
        if (type(storage), type(shape), type(strides)) == (_Storage, tuple, tuple):
            return _Tensor(storage, offset, shape, strides)
    raise ValueError(f"a call of {function}: refused, nothing in a file is ever run")
