"""An item as the bytes of a file, and back.

    offset  bytes
    0       8       b"AHITEM" and the version of the form, 1, as two bytes
    8       4       h, length of the head
    12      8       p, length of the payload
    20      4       CRC-32 of the payload
    24      4       CRC-32 of bytes 0–23 and the head
    28      h       head: key, source and accepted_at as a MessagePack array
    28 + h  p       payload

Integers are unsigned, the least significant byte first. CRC-32 is that of zlib (ISO 3309).
"""

import struct
import zlib
from typing import NoReturn

import msgspec

from aiohooks.delivery.item import Item
from aiohooks.errors import DeliveryError

MOST_HEAD_BYTES = 4096
"""Of everything before the payload: as much as has to be read to know what a file holds."""

_MAGIC = b"AHITEM\x01\x00"
_CHECKED = struct.Struct("<8sIQI")
_CRC = struct.Struct("<I")
_PREFIX_BYTES = _CHECKED.size + _CRC.size


class CorruptRecordError(ValueError):
    """The bytes are not those of an item, or not those that were written."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """An item without its payload."""

    key: str
    source: str
    accepted_at: float


def encode_head(item: Item) -> bytes:
    """Return what precedes the payload in the file. Looks at the whole payload.

    Raises:
        DeliveryError: key and source are too long, or no text.
    """
    head = _encoded_head(item)
    checked = _CHECKED.pack(_MAGIC, len(head), len(item.payload), zlib.crc32(item.payload))
    return checked + _CRC.pack(zlib.crc32(head, zlib.crc32(checked))) + head


def record_bytes(item: Item) -> int:
    """Return the length of the file.

    Raises:
        DeliveryError: as `encode_head`.
    """
    return _PREFIX_BYTES + len(_encoded_head(item)) + len(item.payload)


def _encoded_head(item: Item) -> bytes:
    try:
        head = msgspec.msgpack.encode(Head(item.key, item.source, item.accepted_at))
    except UnicodeEncodeError as error:
        raise DeliveryError(f"item {item.key!r} from {item.source!r}: key and source must be text: {error}") from None
    if len(head) > MOST_HEAD_BYTES - _PREFIX_BYTES:
        raise DeliveryError(
            f"item {item.key[:40]!r}: key and source take {len(head):,} bytes, and may take {MOST_HEAD_BYTES - _PREFIX_BYTES:,}"
        )
    return head


def decode_head(start: bytes | memoryview, nbytes: int) -> Head:
    """Return the head of a file, without looking at its payload.

    Args:
        start: the first `MOST_HEAD_BYTES` of the file, or all of it.
        nbytes: length of the file.

    Raises:
        CorruptRecordError: the head is not what was written, or the file is shorter or longer than it says.
    """
    return _decode_head(start, nbytes)[0]


def decode(data: bytes) -> Item:
    """Return the item whose file this is.

    Raises:
        CorruptRecordError: it is not what was written.
    """
    head, payload_at, checksum = _decode_head(data, len(data))
    payload = data[payload_at:]
    if zlib.crc32(payload) != checksum:
        _corrupt("the checksum of the payload does not fit")
    return Item(head.key, head.source, head.accepted_at, payload)


def _decode_head(start: bytes | memoryview, nbytes: int) -> tuple[Head, int, int]:
    if len(start) < _PREFIX_BYTES:
        _corrupt(f"{nbytes} bytes are too few")
    magic, head_bytes, payload_bytes, payload_crc = _CHECKED.unpack_from(start)
    if magic != _MAGIC:
        _corrupt("it does not begin like an item, or another version wrote it")
    payload_at = _PREFIX_BYTES + head_bytes
    if payload_at > len(start):
        _corrupt("the head is cut off")
    head = bytes(start[_PREFIX_BYTES:payload_at])
    (crc,) = _CRC.unpack_from(start, _CHECKED.size)
    if zlib.crc32(head, zlib.crc32(start[: _CHECKED.size])) != crc:
        _corrupt("the checksum of the head does not fit")
    if payload_at + payload_bytes != nbytes:
        _corrupt(f"the payload has {nbytes - payload_at:,} bytes and should have {payload_bytes:,}")
    try:
        return msgspec.msgpack.decode(head, type=Head), payload_at, payload_crc
    except msgspec.DecodeError as error:
        raise CorruptRecordError(str(error)) from None


def _corrupt(reason: str) -> NoReturn:
    raise CorruptRecordError(reason)
