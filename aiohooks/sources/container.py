"""Whether a video file is as long as its container says; decoders just stop where the bytes do."""

from pathlib import Path
from typing import BinaryIO

_MP4_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_off(path: Path) -> bool:
    """Return whether an MP4/MOV, AVI or Matroska/WebM file ends before it should; false for other files.

    Formats: ISO/IEC 14496-12 §4.2 (boxes), RIFF with OpenDML's further RIFF chunks, RFC 8794 (EBML).

    Raises:
        OSError: the file cannot be read.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start[4:] in _MP4_FIRST_BOXES:
            return _end_of_boxes(file, length) > length
        if start[:4] == b"RIFF":
            return _end_of_riff(file, length) > length
        if start[:4] == _EBML:
            return _end_of_segment(file) > length
    return False


def _end_of_boxes(file: BinaryIO, length: int) -> int:
    position = 0
    while position < length:
        file.seek(position)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        if size < 8:  # 0: to the end of the file; else not a box
            break
        position += size
    return position


def _end_of_riff(file: BinaryIO, length: int) -> int:
    position = 0
    while position < length:
        file.seek(position)
        header = file.read(8)
        if header[:4] != b"RIFF":
            break
        position += 8 + int.from_bytes(header[4:], "little")
    return position


def _end_of_segment(file: BinaryIO) -> int:
    file.seek(len(_EBML))
    file.seek(_element_size(file) or 0, 1)
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return 0
    size = _element_size(file)
    return 0 if size is None else file.tell() + size


def _element_size(file: BinaryIO) -> int | None:
    """Read the size of an EBML element: the leading zero bits tell its width; all ones: unknown."""
    first = int.from_bytes(file.read(1), "big")
    width = 9 - first.bit_length()
    value = int.from_bytes(bytes([first]) + file.read(width - 1), "big")
    largest = (1 << 7 * width) - 1
    value &= largest
    return None if value == largest else value
