"""Events become bytes and come back the same."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prediction_strategies import predictions

from aiohooks.delivery.item import Item
from aiohooks.errors import DeliveryError, FrameError
from aiohooks.frame import Frame
from aiohooks.hooks import stored_frame
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.event_bytes import (
    VERSION,
    decode_event,
    encode_event,
    is_quickly_decoded,
    is_quickly_encoded,
    outline_of,
)
from aiohooks.prediction import Prediction
from aiohooks.prediction.arrays import OPTIONAL

AT = datetime(2025, 1, 31, 12, 0, 0, 42, UTC)
NOISE = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
DOG = Prediction.detection((48, 64), ["cat", "dog"], [[4, 5, 30, 40]], [0.75], ["dog"])
JPEG = cv2.imencode(".jpg", cv2.cvtColor(NOISE, cv2.COLOR_RGB2BGR))[1].tobytes()
DECODED = cv2.cvtColor(cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def event(frame: Frame | None = None, prediction: Prediction = DOG) -> HookEvent:
    frame = frame or Frame(NOISE, "cam", 7, AT, context=object())
    return HookEvent(frame, prediction, 0.625, {"LabelTrigger": 1.0}, hook="dogs", triggered_at=AT)


def same(one: Prediction, other: Prediction) -> None:
    assert (one.task, one.size, one.labels) == (other.task, other.size, other.labels)
    for name in ("boxes", "scores", "label_indices", "object_indices", *OPTIONAL):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    assert (one.polygons is None) == (other.polygons is None)
    for ours, theirs in zip(one.polygons or (), other.polygons or (), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs)


def test_all_but_the_context_comes_back() -> None:
    back = decode_event(encode_event(event()), key="k")
    assert (back.frame.name, back.frame.index, back.frame.timestamp) == ("cam", 7, AT)
    assert (back.frame.height, back.frame.width, back.frame.context, back.frame.encoded) == (48, 64, None, None)
    assert (back.score, back.scores, back.hook, back.triggered_at, back.key) == (
        0.625, {"LabelTrigger": 1.0}, "dogs", AT, "k",
    )  # fmt: skip
    same(back.prediction, DOG)
    np.testing.assert_array_equal(back.frame.image, NOISE)
    assert repr(back.frame) == repr(event().frame)


def test_encoded_bytes_stay_these_and_are_decoded_only_for_who_asks_for_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    decoded = stored_frame._StoredFrame._decoded
    monkeypatch.setattr(stored_frame._StoredFrame, "_decoded", lambda frame: asked.append(1) or decoded(frame))
    frame = decode_event(encode_event(event(Frame(DECODED, encoded=JPEG)))).frame
    assert frame.encoded == JPEG
    assert (frame.height, frame.width, frame.snapshot()) == (48, 64, frame)
    assert not asked
    np.testing.assert_array_equal(frame.image, DECODED)
    assert frame.image is frame.image
    assert len(asked) == 1


def test_a_frame_with_other_pixels_is_an_ordinary_one() -> None:
    frame = decode_event(encode_event(event(Frame(DECODED, "cam", 3, AT, encoded=JPEG)))).frame
    for other in (frame.with_image(NOISE), replace(frame, image=NOISE, encoded=None)):
        assert (type(other), other.name, other.index, other.timestamp) == (Frame, "cam", 3, AT)
        assert other.encoded is None
        np.testing.assert_array_equal(other.image, NOISE)
    assert replace(frame, context=1).context == 1


def test_a_file_that_is_not_the_picture_is_told_of_when_pixels_are_asked_for() -> None:
    other = decode_event(encode_event(event(Frame(NOISE[:24], encoded=JPEG)))).frame
    for frame in (other, decode_event(encode_event(event(Frame(NOISE, encoded=b"no picture")))).frame):
        with pytest.raises(FrameError):
            _ = frame.image


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_any_prediction_comes_back(prediction: Prediction) -> None:
    same(decode_event(encode_event(event(prediction=prediction))).prediction, prediction)


def test_large_masks_are_deflated_and_come_back() -> None:
    masks = np.zeros((3, 480, 640), np.uint8)
    masks[1, 100:200, 50:300] = 1
    prediction = Prediction.detection((480, 640), ["cat"], [[0, 0, 9, 9]] * 3, [0.5] * 3, ["cat"] * 3)
    prediction = replace(prediction, masks=masks, heat_map=np.full((480, 640), 0.5, np.float32))
    one = event(Frame(NOISE, encoded=JPEG), prediction)
    data = encode_event(one)
    assert len(data) < masks.nbytes / 50 + len(JPEG) + prediction.heat_map.nbytes
    same(decode_event(data).prediction, prediction)
    assert not is_quickly_encoded(one)
    assert is_quickly_encoded(event(Frame(NOISE, encoded=JPEG)))
    assert not is_quickly_encoded(event())


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])))
def test_times_are_the_same_moments(moment: datetime) -> None:
    back = decode_event(encode_event(event(Frame(NOISE, timestamp=moment, encoded=JPEG))))
    assert back.frame.timestamp == moment


@given(st.text())
def test_names_of_any_letters_come_back(name: str) -> None:
    assert outline_of(encode_event(event(Frame(NOISE, name, encoded=JPEG)))).frame.name == name


@given(st.text(st.characters(categories=["Cs", "Ll"])))
@example("\udcff.png")  # os.fsdecode(b"\xff.png")
@example("\ud83d\ude00")
def test_names_of_files_that_are_no_text_come_back(name: str) -> None:
    data = encode_event(event(Frame(NOISE, name, encoded=JPEG)))
    assert decode_event(data).frame.name == name
    assert outline_of(data).frame.name == name.encode("utf-8", "backslashreplace").decode()
    kept = Item.new(data, source=name)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Item) == kept


def test_other_names_must_be_text() -> None:
    with pytest.raises(DeliveryError, match="a name in it is no text"):
        encode_event(replace(event(), hook="\udcff"))


def test_what_takes_long_to_inflate_is_known_before() -> None:
    large = Prediction.detection((1080, 1920), ["cat"], [[0, 0, 9, 9]] * 20, [0.5] * 20, ["cat"] * 20)
    data = encode_event(event(prediction=replace(large, masks=np.zeros((20, 1080, 1920), np.uint8))))
    assert len(data) < 512 * 1024
    assert not is_quickly_decoded(data)
    assert is_quickly_decoded(encode_event(event()))
    assert not is_quickly_decoded(encode_event(event(Frame(NOISE, encoded=bytes(2 * 10**6)))))
    polygons = tuple(np.zeros((10**5, 2), np.float32) for _ in range(20))
    assert not is_quickly_decoded(encode_event(event(prediction=replace(large, polygons=polygons))))
    assert is_quickly_decoded(b"no event")


def test_the_form_is_this_one() -> None:
    form = msgspec.msgpack.decode(encode_event(event(Frame(DECODED, "cam", 7, AT, encoded=JPEG))))
    assert form == {
        "version": 1, "hook": "dogs", "score": 0.625, "scores": {"LabelTrigger": 1.0}, "triggered_at": AT,
        "frame": {
            "name": "cam", "index": 7, "timestamp": AT, "height": 48, "width": 64, "picture": JPEG, "was_encoded": True,
        },
        "prediction": {
            "task": "detection", "size": [48, 64], "labels": [msgspec.to_builtins(label) for label in DOG.labels],
            "arrays": {
                "boxes": ["f4", [1, 4], np.array([4, 5, 30, 40], "<f4").tobytes(), False],
                "scores": ["f4", [1], np.array([0.75], "<f4").tobytes(), False],
                "label_indices": ["i4", [1], np.array([1], "<i4").tobytes(), False],
                "object_indices": ["i4", [1], np.array([0], "<i4").tobytes(), False],
            },
            "polygons": None, "ood_score": None,
        },
    }  # fmt: skip


def test_later_versions_may_add_keys() -> None:
    form = msgspec.msgpack.decode(encode_event(event()))
    form["frame"]["place"] = "north gate"
    form["prediction"]["arrays"]["depth"] = form["prediction"]["arrays"]["scores"]
    same(decode_event(msgspec.msgpack.encode(form)).prediction, DOG)


def test_another_version_is_named() -> None:
    with pytest.raises(DeliveryError, match=f"form {VERSION + 1} cannot be read: another version of aiohooks"):
        decode_event(msgspec.msgpack.encode({"version": VERSION + 1, "all": "new"}))


@given(st.data())
def test_damaged_bytes_are_an_error_of_ours_or_another_event(data: st.DataObject) -> None:
    whole = bytearray(encode_event(event(Frame(NOISE[:2, :2], encoded=b"x"))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for read in (decode_event, outline_of):
        with suppress(DeliveryError):
            read(damaged)


def test_a_few_bytes_do_not_stand_for_very_many() -> None:
    form = msgspec.msgpack.decode(encode_event(event()))
    import zlib

    form["prediction"]["arrays"]["masks"] = ["u1", [1, 48, 64], zlib.compress(bytes(10**7)), True]
    with pytest.raises(DeliveryError):
        decode_event(msgspec.msgpack.encode(form))
    form["prediction"]["arrays"]["masks"] = ["u1", [1, 2**40, 2**40], b"", False]
    with pytest.raises(DeliveryError):
        decode_event(msgspec.msgpack.encode(form))


def test_a_frame_that_cannot_be_encoded_is_an_error() -> None:
    flat = Frame(np.broadcast_to(NOISE[:1, :1], (1, 2**20 + 1, 3)))
    with pytest.raises(DeliveryError, match="cannot be encoded"):
        encode_event(event(flat))
