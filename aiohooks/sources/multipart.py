"""The parts of a ``multipart/x-mixed-replace`` body, cut out of its bytes as they come; no input or output here.

Format: RFC 2046 §5.1, as cameras write it: with or without ``Content-Length``, with bare line feeds, and with
two dashes more or fewer in front of the boundary than they announce.
"""

import re
from collections.abc import Callable
from email.message import Message

MAX_HEADER_BYTES = 16 * 1024
"""Header of one part, at most."""

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_BEFORE_DELIMITER = re.compile(rb"\r?\n-{0,2}\Z")
_LONGEST_BEFORE_DELIMITER = 4


class MultipartError(Exception):
    """The bytes break off inside a part, or a part is too large."""


def boundary_of(content_type: str) -> str | None:
    """Return the boundary that a ``Content-Type`` names, or ``None`` if it is not that of a multipart body."""
    message = Message()
    message["Content-Type"] = content_type
    return message.get_boundary() if message.get_content_maintype() == "multipart" else None


class MultipartParser:
    """Cuts a multipart body into its parts: `feed` it bytes, then take parts until there is none.

    Args:
        boundary: as the ``Content-Type`` names it.
        max_part_bytes: refuse a larger part.

    Attributes:
        ended: no part will come any more.
        header: of the part that came last.
    """

    def __init__(self, boundary: str, *, max_part_bytes: int) -> None:
        # Some announce "--name" and write "--name", some write "----name": both hold this.
        self._delimiter = b"--" + boundary.encode("latin-1", "replace").lstrip(b"-")
        self._max_part_bytes = max_part_bytes
        self._buffer = bytearray()
        self._no_more = False
        self._step: Callable[[], bytes | None] = self._find_delimiter
        self._searched = 0  # there is no delimiter before this place in the buffer
        self._length: int | None = None  # of the part, where its header tells
        self.ended = False
        self.header = b""

    def feed(self, data: bytes) -> None:
        """Take bytes, cut anywhere; none mean that the connection has closed."""
        self._buffer += data
        self._no_more = not data

    def next_part(self) -> bytes | None:
        """Return the next part, or ``None`` if it is not complete or the body has ended.

        Raises:
            MultipartError: the part or its header is too large, or the connection closed inside it.
        """
        while not self.ended:
            step = self._step
            part = step()
            if part:
                return part
            if self._step == step:  # it needs more bytes
                self.ended = self._no_more
                return None
        return None

    def _find_delimiter(self) -> None:
        found = self._search()
        if found < 0:
            self._discard(self._searched)
            return
        self._discard(found)
        behind = self._buffer[len(self._delimiter) : len(self._delimiter) + 2]
        if len(behind) < 2:
            return
        self._discard(len(self._delimiter))
        self.ended = behind == b"--"
        self._step = self._read_header

    def _read_header(self) -> None:
        blank_line = _BLANK_LINE.search(self._buffer, 0, MAX_HEADER_BYTES)
        if blank_line is None:
            if len(self._buffer) >= MAX_HEADER_BYTES:
                raise MultipartError(f"the header of a part is longer than {MAX_HEADER_BYTES:,} bytes")
            return
        length = _CONTENT_LENGTH.search(self._buffer, 0, blank_line.end())
        self._length = int(length[1]) if length else None
        self.header = bytes(self._buffer[: blank_line.end()])
        self._discard(blank_line.end())
        self._check_size(self._length or 0)
        self._step = self._read_body

    def _read_body(self) -> bytes | None:
        if self._length is None:
            end = self._search()
            if end < 0 and not self._no_more:
                self._check_size(self._searched - _LONGEST_BEFORE_DELIMITER)
                return None
            if end < 0:
                end = len(self._buffer)
            before = _BEFORE_DELIMITER.search(self._buffer, max(0, end - _LONGEST_BEFORE_DELIMITER), end)
            part = bytes(self._buffer[: before.start() if before else end])
            self._check_size(len(part))
        else:
            end = self._length
            if len(self._buffer) < end:
                if self._no_more:
                    raise MultipartError(f"it closed after {len(self._buffer):,} of the {end:,} bytes of a part")
                return None
            part = bytes(self._buffer[:end])
        self._discard(end)
        self._step = self._find_delimiter
        return part

    def _search(self) -> int:
        found = self._buffer.find(self._delimiter, self._searched)
        if found < 0:
            self._searched = max(self._searched, len(self._buffer) - len(self._delimiter) + 1)
        return found

    def _discard(self, length: int) -> None:
        del self._buffer[:length]
        self._searched = 0

    def _check_size(self, length: int) -> None:
        if length > self._max_part_bytes:
            raise MultipartError(f"a part is larger than {self._max_part_bytes:,} bytes")
