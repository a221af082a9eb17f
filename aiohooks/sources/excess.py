"""Work that a picture makes for a decoder beyond its pixels: small files can hold minutes of it, which nothing stops once begun."""

import zlib

from aiohooks.sources.wholeness import jpeg_markers, png_chunks

MAX_JPEG_SCANS = 100
"""Each goes over all pixels again; encoders write about ten, of a progressive picture."""

MAX_PNG_CHUNKS = 1000
"""Before the pixels; there are about twenty kinds, most of them once."""

LARGE_PNG_BYTES = 2 * 1024 * 1024
"""Of compressed pixels. What fewer can become, a decoder reads over in seconds; more are looked at before."""

_JPEG_SCAN = 0xDA


def header_excess(data: bytes, picture_format: str) -> str:
    """Return what is too much before the pixels, as it reads in a message; empty if nothing is.

    Args:
        data: the encoded picture.
        picture_format: its format as Pillow calls it, such as ``"PNG"``.
    """
    if picture_format == "PNG":
        for count, (kind, _) in enumerate(png_chunks(data)):
            if kind == b"IDAT":
                break
            if count == MAX_PNG_CHUNKS:
                return f"more than {MAX_PNG_CHUNKS} chunks come before its pixels"
    return ""


def pixel_excess(data: bytes, picture_format: str, size: tuple[int, int]) -> str:
    """Return what is too much in the pixels, as `header_excess` does.

    Args:
        data: the encoded picture.
        picture_format: its format as Pillow calls it.
        size: width and height that its header says.
    """
    match picture_format:
        case "JPEG" if data.count(b"\xff\xda") > MAX_JPEG_SCANS:  # most of them may be of what comes behind the picture
            if sum(marker == _JPEG_SCAN for marker in jpeg_markers(data)) > MAX_JPEG_SCANS:
                return f"it has more than {MAX_JPEG_SCANS} scans"
        case "PNG" if _holds_more(data, size):
            return "it holds more data than its pixels"
    return ""


def _holds_more(png: bytes, size: tuple[int, int]) -> bool:
    """Tell whether compressed pixels become more than a picture of this size can have, of four channels of 16 bits."""
    width, height = size
    most = 8 * (width + 8) * (height + 8)  # with the filters of rows, and passes that are not full
    pieces = [content for kind, content in png_chunks(png) if kind == b"IDAT"]
    if sum(map(len, pieces)) <= min(LARGE_PNG_BYTES, most):
        return False
    inflating = zlib.decompressobj()
    for piece in pieces:
        try:
            while piece and not inflating.eof:
                most -= len(inflating.decompress(piece, _AT_ONCE))
                piece = memoryview(inflating.unconsumed_tail)
                if most < 0:
                    return True
        except zlib.error:
            return False  # which the decoder says better
    return False


_AT_ONCE = 1024 * 1024
