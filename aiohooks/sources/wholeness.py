"""Whether the bytes of a picture are all there.

Decoders fill in what is missing: libjpeg paints the rest grey. So the end marks are looked for first.
"""

import re
from collections.abc import Iterator

# 0xFF begins a marker, except before 0x00 (a stuffed data byte), a restart marker or another 0xFF (filling).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_START, _JPEG_END = 0xD8, 0xD9


def is_whole(data: bytes, picture_format: str) -> bool:
    """Return whether a picture reaches its end mark; true for formats whose decoders notice by themselves.

    Args:
        data: the encoded picture.
        picture_format: its format as Pillow calls it, such as ``"JPEG"``.
    """
    match picture_format:
        case "JPEG":
            return any(marker == _JPEG_END for marker in jpeg_markers(data))
        case "PNG":
            return any(kind == b"IEND" for kind, _ in png_chunks(data))
        case "WEBP":
            return len(data) >= 8 + int.from_bytes(data[4:8], "little")
        case _:
            return True


def jpeg_markers(data: bytes) -> Iterator[int]:
    """Yield the markers of a JPEG picture up to its end mark, if there is one: ITU-T T.81, table B.1, without the byte 0xFF."""
    position = 0
    while found := _JPEG_MARKER.search(data, position):
        marker = data[found.end() - 1]
        yield marker
        if marker == _JPEG_END:
            return
        position = found.end()
        if marker != _JPEG_START:  # skip the segment: a thumbnail in it has an end mark of its own
            position += int.from_bytes(data[position : position + 2], "big")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of each complete chunk of a PNG file (its checksums are the decoder's matter)."""
    view = memoryview(data)
    position = 8
    while position + 12 <= len(data):
        start = position + 8
        end = start + int.from_bytes(data[position : position + 4], "big")
        if end + 4 <= len(data):
            yield data[position + 4 : start], view[start:end]
        position = end + 4
