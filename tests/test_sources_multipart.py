from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohooks.sources.multipart import MAX_HEADER_BYTES, MultipartError, MultipartParser, boundary_of

PART = b"\xff\xd8 picture \r\n--bound \xff\xd9"  # with what looks like the beginning of a delimiter


def body_of(
    parts: list[bytes], *, with_length: bool, newline: bytes = b"\r\n", dashes: bytes = b"--", closed: bool = True
) -> bytes:
    body = b""
    for part in parts:
        header = b"Content-Type: image/jpeg" + newline
        if with_length:
            header += b"content-LENGTH:  %d" % len(part) + newline
        body += dashes + b"boundary" + newline + header + newline + part + newline
    return body + (dashes + b"boundary--" + newline if closed else b"")


def parse(chunks: list[bytes], boundary: str = "boundary", limit: int = 1000) -> list[bytes]:
    """Parts of a body that arrives in chunks and whose connection then closes."""
    parser = MultipartParser(boundary, max_part_bytes=limit)
    parts = []
    for chunk in [*chunks, b""]:
        parser.feed(chunk)
        while (part := parser.next_part()) is not None:
            parts.append(part)
    assert parser.ended
    return parts


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(places) if end > start]


# Bytes in which line ends, dashes and halves of the delimiter are frequent, but never a whole one.
contents = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"--boundar", b"boundary", b"\xff\xd9", b"x"]), min_size=1
).map(lambda content: b"".join(content).replace(b"--boundary", b"") + b"\xff\xd9")


@settings(deadline=None)
@given(
    parts=st.lists(contents, max_size=4),
    with_length=st.booleans(),
    newline=st.sampled_from([b"\r\n", b"\n"]),
    dashes=st.sampled_from([b"--", b"----"]),
    announced=st.sampled_from(["boundary", "--boundary"]),
    preamble=st.sampled_from([b"", b"\r\n", b"Dear reader\r\n"]),
    closed=st.booleans(),
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
)
def test_parts_are_found_wherever_the_bytes_are_cut(
    parts: list[bytes],
    with_length: bool,
    newline: bytes,
    dashes: bytes,
    announced: str,
    preamble: bytes,
    closed: bool,
    cuts: list[int],
) -> None:
    body = preamble + body_of(parts, with_length=with_length, newline=newline, dashes=dashes, closed=closed)

    assert parse(pieces(body, cuts), announced, limit=len(body)) == parts


def test_bytes_may_come_one_by_one() -> None:
    for with_length in (False, True):
        body = body_of([PART, PART], with_length=with_length)
        assert parse([body[place : place + 1] for place in range(len(body))]) == [PART, PART]


def test_a_part_is_given_as_soon_as_it_is_complete() -> None:
    parser = MultipartParser("boundary", max_part_bytes=100)
    parser.feed(body_of([PART], with_length=True, closed=False).removesuffix(b"\r\n"))
    assert parser.next_part() == PART
    assert parser.next_part() is None
    assert not parser.ended


def test_empty_parts_and_what_follows_the_end_are_left_out() -> None:
    body = body_of([b"", PART], with_length=True) + body_of([PART], with_length=True)
    for cut in range(len(body)):
        assert parse(pieces(body, [cut])) == [PART]


def test_a_length_that_is_no_number_is_not_believed() -> None:
    body = body_of([PART], with_length=False).replace(b"Content-Type: image/jpeg", b"Content-Length: -5")
    assert parse([body]) == [PART]


def test_a_body_that_breaks_off_between_parts_has_ended() -> None:
    body = body_of([PART], with_length=True, closed=False)
    for rest in (b"", b"--bou", b"--boundary", b"--boundary\r\nContent-Ty"):
        assert parse([body + rest]) == [PART]


def test_a_body_that_breaks_off_inside_a_part_is_an_error() -> None:
    with pytest.raises(MultipartError, match=f"closed after {len(PART) - 1} of the {len(PART)} bytes"):
        parse([body_of([PART], with_length=True, closed=False)[:-3]])


def test_the_last_part_without_a_length_ends_with_the_connection() -> None:
    assert parse([body_of([PART], with_length=False, closed=False)]) == [PART]


@pytest.mark.parametrize("with_length", [False, True])
def test_a_part_may_have_just_the_size_of_the_limit(with_length: bool) -> None:
    body = body_of([PART, PART], with_length=with_length)
    for cut in range(len(body)):
        assert parse(pieces(body, [cut]), limit=len(PART)) == [PART, PART]
        with pytest.raises(MultipartError, match="larger than"):
            parse(pieces(body, [cut]), limit=len(PART) - 1)


def test_a_part_is_refused_before_it_is_kept() -> None:
    parser = MultipartParser("boundary", max_part_bytes=1000)
    parser.feed(body_of([b""], with_length=True, closed=False).replace(b"  0", b"  1001"))
    with pytest.raises(MultipartError, match="larger than 1,000"):
        parser.next_part()

    parser = MultipartParser("boundary", max_part_bytes=1000)
    parser.feed(b"--boundary\r\n\r\n" + bytes(1020))
    with pytest.raises(MultipartError, match="larger than 1,000"):
        parser.next_part()


def test_parts_in_front_of_one_that_is_too_large_are_given() -> None:
    parser = MultipartParser("boundary", max_part_bytes=100)
    parser.feed(body_of([PART, bytes(101)], with_length=True))
    assert parser.next_part() == PART
    with pytest.raises(MultipartError):
        parser.next_part()


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(MultipartError, match="header"):
        parse([b"--boundary\r\n" + b"a" * MAX_HEADER_BYTES])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=frame", "frame"),
        ('multipart/x-mixed-replace;boundary="--my frame"', "--my frame"),
        ("Multipart/X-Mixed-Replace; charset=x; BOUNDARY=a", "a"),
        ("multipart/x-mixed-replace", None),
        ("image/jpeg; boundary=frame", None),
        ("", None),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: str | None) -> None:
    assert boundary_of(content_type) == boundary
