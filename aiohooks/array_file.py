"""Arrays and a few plain fields in one file: versioned, checked, memory-mapped, without pickle.

    offset  bytes
    0       8       b"AHARRY" and the version of the form, 1, as two bytes
    8       8       h, length of the head
    16      4       CRC-32 of bytes 0–15 and the head
    20      h       head: kind, version, fields and arrays as a MessagePack array; arrays holds
                    [name, dtype, shape, CRC-32 of the array and its padding] for each
    …               zeros up to the next multiple of 64
    …               the arrays in that order, row by row, each followed by zeros up to the next multiple of 64

Integers are unsigned, the least significant byte first, and so are the numbers in the arrays. CRC-32 is that of zlib
(ISO 3309). The dtype is written as numpy does, such as ``<f4``.
"""

import contextlib
import itertools
import math
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.atomic_file import part_of
from aiohooks.errors import LoadError, SpecError

_MAGIC = b"AHARRY"
_FORM = 1
_CHECKED = struct.Struct("<6sHQ")
_CRC = struct.Struct("<I")
_PREFIX_BYTES = _CHECKED.size + _CRC.size
_ALIGNMENT = 64
_DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"})
_MOST_DIMENSIONS = 8


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """What such a file holds.

    Attributes:
        version: of the kind, at most the one asked for.
        fields: plain data.
        arrays: by name; they are views of the file, which is read as they are used, and cannot be changed.
        checksum: of the head, which has those of the arrays: another content has another one.
    """

    version: int
    fields: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    checksum: int


class _ArrayHead(msgspec.Struct, frozen=True, array_like=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    crc: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class _Head(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    version: int
    fields: dict[str, Any]
    arrays: tuple[_ArrayHead, ...]


def write_arrays(
    path: Path | str, *, kind: str, version: int, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> int:
    """Write a file so that a reader finds the old one or the whole new one; a failure leaves nothing behind.

    Blocks. The data is not forced to the disk: a power loss may undo the write.

    Args:
        path: of the file; its folder is there.
        kind: what the file is, in words that complete "a file of …", such as ``"an OOD model"``.
        version: of what the fields and arrays of this kind mean, at least 1.
        fields: plain data that MessagePack can hold; keys are texts.
        arrays: of numbers or booleans, by name.

    Returns:
        The checksum that `read_arrays` will find.

    Raises:
        SpecError: an array has another type.
        OSError: the file cannot be written.
    """
    plain = {name: _portable(name, array) for name, array in arrays.items()}
    heads = tuple(
        _ArrayHead(name, array.dtype.str, array.shape, zlib.crc32(bytes(_padding(array.nbytes)), _crc(array)))
        for name, array in plain.items()
    )
    head = msgspec.msgpack.encode(_Head(kind, version, dict(fields), heads))
    checked = _CHECKED.pack(_MAGIC, _FORM, len(head))
    checksum = zlib.crc32(head, zlib.crc32(checked))
    start = checked + _CRC.pack(checksum) + head
    part = Path(part_of(path))
    try:
        with part.open("xb") as file:
            file.write(start + bytes(_padding(len(start))))
            for array in plain.values():
                file.write(_memory(array))
                file.write(bytes(_padding(array.nbytes)))
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    return checksum


def read_arrays(path: Path | str, *, kind: str, version: int) -> ArrayFile:
    """Return what is in a file; all of it is read once, to check it.

    Blocks. A file that is replaced meanwhile, as `write_arrays` does, stays as it was for who has read it.

    Args:
        path: of the file.
        kind: what the file should be.
        version: the newest that the caller understands.

    Raises:
        LoadError: the file is not there, is of another kind, newer, cut off or damaged; the message says which, and
            what to do.
    """
    try:
        with Path(path).open("rb") as file:
            nbytes = os.fstat(file.fileno()).st_size
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if nbytes else b""
    except FileNotFoundError:
        raise LoadError(f"{path}: there is no such file; {kind} was to be read from it") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: cannot be read: {error}") from error
    head, at = _head(path, memoryview(data), kind, version)
    arrays: dict[str, NDArray[Any]] = {}
    for array, (start, end) in zip(head.arrays, itertools.pairwise(_offsets(at, head.arrays)), strict=True):
        if zlib.crc32(memoryview(data)[start:end]) != array.crc:
            raise _damaged(path, f"the checksum of its array {array.name!r} does not fit")
        count = math.prod(array.shape)
        arrays[array.name] = np.frombuffer(data, array.dtype, count, start if count else 0).reshape(array.shape)
    return ArrayFile(head.version, head.fields, arrays, *_CRC.unpack_from(data, _CHECKED.size))


def holds(path: Path | str, checksum: int) -> bool:
    """Tell whether a file has this checksum in its head, which depends on all that was written; what follows the head is not read. Blocks."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(_PREFIX_BYTES)
    except OSError:
        return False
    is_one = len(start) == _PREFIX_BYTES and start.startswith(_MAGIC)
    return is_one and _CRC.unpack_from(start, _CHECKED.size) == (checksum,)


def _head(path: Path | str, data: memoryview, kind: str, version: int) -> tuple[_Head, int]:
    """Return the head and where the arrays begin; the lengths are checked, the arrays are not."""
    if data[: len(_MAGIC)] != _MAGIC:
        what = "is empty" if not data else "does not begin like one"
        raise LoadError(f"{path}: this is not a file of {kind}: it {what}")
    if len(data) < _PREFIX_BYTES:
        raise _damaged(path, f"it is cut off after {len(data)} bytes")
    _, form, head_bytes = _CHECKED.unpack_from(data)
    if form > _FORM:
        raise _newer(path, f"form {form}", f"form {_FORM}")
    at = _PREFIX_BYTES + head_bytes
    if at > len(data):
        raise _damaged(path, f"it is cut off after {len(data):,} bytes")
    encoded = data[_PREFIX_BYTES:at]
    if _CRC.unpack_from(data, _CHECKED.size) != (zlib.crc32(encoded, zlib.crc32(data[: _CHECKED.size])),):
        raise _damaged(path, "the checksum of its head does not fit")
    try:
        head = msgspec.msgpack.decode(encoded, type=_Head)
    except msgspec.DecodeError as error:
        raise _damaged(path, f"its head cannot be read: {error}") from None
    if head.kind != kind:
        raise LoadError(f"{path}: this is a file of {head.kind}, not of {kind}")
    if head.version > version:
        raise _newer(path, f"version {head.version}", f"version {version}")
    for array in head.arrays:
        if array.dtype not in _DTYPES or len(array.shape) > _MOST_DIMENSIONS or min(array.shape, default=0) < 0:
            raise _damaged(path, f"its array {array.name!r} is of an unknown type: {array.dtype} {array.shape}")
    padded = at + _padding(at)
    *_, end = _offsets(padded, head.arrays)
    if end != len(data):
        raise _damaged(path, f"it has {len(data):,} bytes and should have {end:,}")
    if any(data[at:padded]):
        raise _damaged(path, "there is something between its head and its arrays")
    return head, padded


def _offsets(at: int, arrays: tuple[_ArrayHead, ...]) -> Iterator[int]:
    """Yield where each array begins, and where the last one ends."""
    yield at
    for array in arrays:
        at += array.nbytes + _padding(array.nbytes)
        yield at


def _padding(nbytes: int) -> int:
    return -nbytes % _ALIGNMENT


def _portable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as it is written: row by row, the least significant byte first."""
    array = np.asarray(array)
    shape = array.shape
    little = array.dtype.newbyteorder("<")
    if little.str not in _DTYPES:
        raise SpecError(f"array {name!r}: {array.dtype} cannot be saved; numbers and booleans can")
    return np.ascontiguousarray(array, dtype=little).reshape(shape)


def _memory(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _crc(array: NDArray[Any]) -> int:
    return zlib.crc32(_memory(array))


def _damaged(path: Path | str, reason: str) -> LoadError:
    return LoadError(f"{path}: the file is damaged: {reason}; copy it again from where it is whole, or make it anew")


def _newer(path: Path | str, found: str, known: str) -> LoadError:
    return LoadError(
        f"{path}: a newer aiohooks wrote this ({found}; this one reads up to {known}); update aiohooks, or make the file anew"
    )
