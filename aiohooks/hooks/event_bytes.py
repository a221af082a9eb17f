"""Events as bytes, and back: what a store holds of a hook's event.

MessagePack (https://msgpack.org), a map with these keys; arrays are raw and little-endian:

    version       1
    hook          name of the hook
    score         float
    scores        map of names to floats
    triggered_at  timestamp (extension type -1)
    frame         map: name, index, timestamp, height, width,
                  name_bytes   only where the name has lone surrogates, which are escaped in it: the name as UTF-8 with them
                               as three bytes each (Python's "surrogatepass"),
                  picture      bytes of a picture file,
                  was_encoded  true: the frame came with these bytes; false: its pixels were encoded as PNG
    prediction    map: task, size (height, width), labels (maps), polygons (arrays, or nil for an object without), ood_score,
                  arrays       map of the names of `Prediction`'s other arrays to arrays

    an array is [dtype, shape, data, deflated]: "f4", "i4" or "u1"; lengths; bytes; whether zlib has to inflate them

Unknown keys are ignored, so that later versions can add some; a form that cannot be read so has another version. What the form does
not have is ``Frame.context``, which can be anything.
"""

import math
import zlib
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.delivery.item import encodable
from aiohooks.errors import DeliveryError
from aiohooks.frame import Frame
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.stored_frame import stored_frame
from aiohooks.prediction import Prediction, Task
from aiohooks.prediction.arrays import OPTIONAL

VERSION = 1
"""Version of the form that is written, and the only one that is read."""

DEFLATED_FROM = 16 * 1024
"""Maps and masks of bytes with more than this are deflated: they shrink a hundred times in a few milliseconds."""

QUICK_BYTES = 1024 * 1024
"""An event of that many bytes is copied in a tenth of a millisecond, one with `QUICK_ARRAYS` arrays is read and `QUICK_ARRAY_BYTES`
are inflated in less than a whole one."""

QUICK_ARRAY_BYTES = 256 * 1024
QUICK_ARRAYS = 200

_DTYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "i4": np.dtype("<i4"), "u1": np.dtype("u1")}
_ARRAYS = ("boxes", "scores", "label_indices", "object_indices", *OPTIONAL)
_PNG_LEVEL = 1


class _Array(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes
    deflated: bool = False


class _Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    index: int
    timestamp: datetime
    height: int
    width: int
    picture: bytes
    was_encoded: bool
    name_bytes: bytes | None = None


class _Prediction(msgspec.Struct, frozen=True):
    task: Task
    size: tuple[int, int]
    labels: tuple[Label, ...]
    arrays: dict[str, _Array]
    polygons: tuple[_Array | None, ...] | None = None
    ood_score: float | None = None


class _Event(msgspec.Struct, frozen=True):
    version: int
    hook: str
    score: float
    scores: dict[str, float]
    triggered_at: datetime
    frame: _Frame
    prediction: _Prediction


class _Version(msgspec.Struct, frozen=True):
    version: int


class _ArraySize(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]


class _PredictionSize(msgspec.Struct, frozen=True):
    arrays: dict[str, _ArraySize]
    polygons: tuple[_ArraySize | None, ...] | None = None


class _EventSize(msgspec.Struct, frozen=True):
    prediction: _PredictionSize


class FrameOutline(msgspec.Struct, frozen=True):
    """What is known about a frame, but its picture; lone surrogates of its name are escaped."""

    name: str
    index: int


class EventOutline(msgspec.Struct, frozen=True):
    """What is known about an event, but its picture and prediction."""

    hook: str
    score: float
    scores: dict[str, float]
    frame: FrameOutline


_encoder = msgspec.msgpack.Encoder()
_event = msgspec.msgpack.Decoder(_Event)
_outline = msgspec.msgpack.Decoder(EventOutline)
_size = msgspec.msgpack.Decoder(_EventSize)
_version = msgspec.msgpack.Decoder(_Version)


def is_quickly_encoded(event: HookEvent) -> bool:
    """Say whether `encode_event` takes a fraction of a millisecond, less than a worker thread would to get going."""
    picture, prediction = event.frame.encoded, event.prediction
    return (
        picture is not None
        and len(picture) <= 512 * 1024
        and len(prediction.scores) <= 100
        and not any(
            getattr(prediction, name) is not None for name in ("masks", "label_map", "heat_map", "saliency_maps")
        )
    )


def is_quickly_decoded(data: bytes) -> bool:
    """Say whether `decode_event` takes less than a millisecond, by what its arrays will take and not by what they are deflated to."""
    if len(data) > QUICK_BYTES:
        return False
    try:
        prediction = _size.decode(data).prediction
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return True  # it ends at the same place
    arrays = [*prediction.arrays.values(), *(one for one in prediction.polygons or () if one is not None)]
    nbytes = sum(max(0, math.prod(array.shape)) * (1 if array.dtype == "u1" else 4) for array in arrays)
    return len(arrays) <= QUICK_ARRAYS and nbytes <= QUICK_ARRAY_BYTES


def encode_event(event: HookEvent) -> bytes:
    """Return an event as bytes. Blocks for milliseconds where the pixels have to be encoded.

    Raises:
        DeliveryError: the frame cannot be encoded, or a name other than the frame's is no text.
    """
    frame, prediction = event.frame, event.prediction
    name = encodable(frame.name)
    name_bytes = None if name == frame.name else frame.name.encode("utf-8", "surrogatepass")
    picture = frame.encoded if frame.encoded is not None else _png(frame)
    arrays = {field: _to_array(array) for field in _ARRAYS if (array := getattr(prediction, field)) is not None}
    polygons = prediction.polygons
    form = _Event(
        VERSION, event.hook, event.score, dict(event.scores), event.triggered_at,
        _Frame(
            name, frame.index, frame.timestamp, frame.height, frame.width, picture, frame.encoded is not None, name_bytes
        ),
        _Prediction(
            prediction.task, prediction.size, prediction.labels, arrays,
            None if polygons is None else tuple(None if one is None else _to_array(one) for one in polygons),
            prediction.ood_score,
        ),
    )  # fmt: skip
    try:
        return _encoder.encode(form)
    except UnicodeEncodeError as error:
        raise DeliveryError(
            f"the event of frame {name!r} cannot be encoded: a name in it is no text: {error}"
        ) from None


def decode_event(data: bytes, *, key: str = "") -> HookEvent:
    """Return the event that `encode_event` made the bytes of; its pixels are decoded when they are asked for.

    Args:
        data: the bytes.
        key: of the event.

    Raises:
        DeliveryError: they are not such bytes, or of another version.
    """
    try:
        found = _version.decode(data).version
        if found != VERSION:
            raise DeliveryError(f"an event in form {found} cannot be read: another version of aiohooks wrote it")
        event = _event.decode(data)
        prediction = event.prediction
        polygons = prediction.polygons
        arrays: dict[str, Any] = {
            name: _from_array(array) for name, array in prediction.arrays.items() if name in _ARRAYS
        }
        return HookEvent(
            frame=stored_frame(
                event.frame.picture, height=event.frame.height, width=event.frame.width, name=_name(event.frame),
                index=event.frame.index, timestamp=event.frame.timestamp, was_encoded=event.frame.was_encoded,
            ),
            prediction=Prediction(
                task=prediction.task, size=prediction.size, labels=prediction.labels,
                polygons=None if polygons is None else tuple(None if one is None else _from_array(one) for one in polygons),
                ood_score=prediction.ood_score, **arrays,
            ),
            score=event.score, scores=event.scores, hook=event.hook, triggered_at=event.triggered_at, key=key,
        )  # fmt: skip
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, zlib.error) as error:
        raise DeliveryError(f"this is not an event: {error}") from error


def outline_of(data: bytes) -> EventOutline:
    """Return what is known about an event, without a look at its picture and prediction.

    Raises:
        DeliveryError: the bytes are not an event.
    """
    try:
        return _outline.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DeliveryError(f"this is not an event: {error}") from error


def _name(frame: _Frame) -> str:
    return frame.name if frame.name_bytes is None else frame.name_bytes.decode("utf-8", "surrogatepass")


def _png(frame: Frame) -> bytes:
    import cv2  # heavy: loaded when first used

    try:
        done, data = cv2.imencode(
            ".png", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
        )
    except cv2.error as error:
        raise DeliveryError(f"frame {frame.name!r} cannot be encoded: {error}") from None
    if not done:
        raise DeliveryError(f"frame {frame.name!r} of {frame.width}×{frame.height} pixels cannot be encoded")
    return data.tobytes()


def _to_array(array: NDArray[Any]) -> _Array:
    name = array.dtype.str[1:]
    data = array.astype(_DTYPES[name], copy=False).tobytes()
    if name == "u1" and len(data) > DEFLATED_FROM:
        return _Array(name, array.shape, zlib.compress(data, 1), deflated=True)
    return _Array(name, array.shape, data)


def _from_array(array: _Array) -> NDArray[Any]:
    dtype = _DTYPES[array.dtype]
    nbytes = dtype.itemsize
    for length in array.shape:
        if length < 0:
            raise ValueError(f"{length} is not the length of an array")
        nbytes *= length
    data = array.data
    if array.deflated:
        # No more than was said: a few damaged bytes could stand for very many.
        data = zlib.decompressobj().decompress(data, nbytes + 1)
    found: NDArray[Any] = np.frombuffer(data, dtype).reshape(array.shape)
    return found.astype(dtype.newbyteorder("="), copy=False)
