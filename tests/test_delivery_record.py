"""Items as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.delivery.item import Item
from aiohooks.delivery.layout import item_name, parse_item_name
from aiohooks.delivery.record import (
    MOST_HEAD_BYTES,
    CorruptRecordError,
    decode,
    decode_head,
    encode_head,
    record_bytes,
)
from aiohooks.errors import DeliveryError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANY = st.text(st.characters(categories=["Cs", "Ll", "Zs"]), max_size=40)
ITEMS = st.builds(Item, TEXT, ANY, st.floats(allow_nan=False), st.binary(max_size=300))


@given(ITEMS)
def test_what_is_encoded_comes_back(item: Item) -> None:
    data = encode_head(item) + item.payload
    assert decode(data) == item
    assert len(data) == record_bytes(item)
    head = decode_head(data[:MOST_HEAD_BYTES], len(data))
    assert (head.key, head.source, head.accepted_at) == (item.key, item.source, item.accepted_at)


@given(ITEMS, st.data())
def test_no_changed_bit_goes_unnoticed(item: Item, data: st.DataObject) -> None:
    whole = bytearray(encode_head(item) + item.payload)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptRecordError):
        decode(bytes(whole))


@given(ITEMS, st.data())
def test_no_other_length_goes_unnoticed(item: Item, data: st.DataObject) -> None:
    whole = encode_head(item) + item.payload
    for other in (whole[: data.draw(st.integers(0, len(whole) - 1))], whole + data.draw(st.binary(min_size=1))):
        with pytest.raises(CorruptRecordError):
            decode(other)
        with pytest.raises(CorruptRecordError):
            decode_head(other[:MOST_HEAD_BYTES], len(other))


@given(st.binary(max_size=200))
def test_anything_else_is_no_item(data: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        decode(data)


def test_the_form_is_what_it_was() -> None:
    item = Item("key", "cam", 1.5, b"payload")
    assert encode_head(item).hex() == (
        "41484954454d0100120000000700000000000000156a2c42"  # magic, lengths, checksum of the payload
        "889d7e46"
        "93a36b6579a363616dcb3ff8000000000000"
    )


def test_a_head_has_a_bound() -> None:
    encode_head(Item("k" * 2000, "s" * 2000, 0.0, b""))
    with pytest.raises(DeliveryError, match=r"key and source take 5,\d+ bytes, and may take 4,068"):
        record_bytes(Item("k" * 2500, "s" * 2500, 0.0, b""))
    with pytest.raises(DeliveryError, match="must be text"):
        encode_head(Item("\ud800", "s", 0.0, b""))


@given(st.lists(st.tuples(st.integers(0, 10**16 - 1), st.integers(0, 1000))))
def test_names_sort_like_numbers(parsed: list[tuple[int, int]]) -> None:
    names = [item_name(*one) for one in parsed]
    assert [parse_item_name(name) for name in names] == parsed
    assert [parse_item_name(name)[0] for name in sorted(names)] == sorted(number for number, _ in parsed)  # type: ignore[index]


@pytest.mark.parametrize(
    "name", ["", "1-0.item", "0000000000000001.item", "0000000000000001-0.json", "x", "٣" * 16 + "-0.item"]
)
def test_other_names_are_not_those_of_items(name: str) -> None:
    assert parse_item_name(name) is None
