"""What is kept of the events of a window: sums, so that windows merge in any order, on any machine, to the same.

    offset  bytes
    0       8       b"AHDRFT" and the version of the form, 1, as two bytes
    8       16      identity of the baseline
    24      8       n, number of events
    32      4       s, number of sums
    36      4       CRC-32 of bytes 0–35 and the rest
    40      …       the sums as 8-byte signed integers, all their first bytes, then all their second bytes …, deflated

Integers have the least significant byte first. CRC-32 and deflation are those of zlib.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import LoadError, SpecError

MOST_EVENTS = 1 << 28
"""No summary holds more, so that no sum overflows: 100 days at 30 events a second."""

MOST_SUMS = 1 << 16

_MAGIC = b"AHDRFT\x01\x00"
_CHECKED = struct.Struct("<8s16sQI")
_CRC = struct.Struct("<I")
HEAD_BYTES = _CHECKED.size + _CRC.size
"""Before the sums."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowSummary:
    """The events of a window, summed up.

    Summaries of one baseline add, with ``+`` or `merge`; addition is exact, associative and commutative, so hours are
    the sums of minutes, and one stream is the sum of what several machines saw of it.

    Attributes:
        baseline: identity of the baseline that summed up, 16 bytes.
        count: number of events.
        sums: (P,) int64; what each is, the baseline knows.

    Raises:
        SpecError: there are more events than a summary can hold.
    """

    baseline: bytes
    count: int
    sums: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.count > MOST_EVENTS:
            raise SpecError(f"a summary holds at most {MOST_EVENTS:,} events, not {self.count:,}: take shorter windows")
        self.sums.flags.writeable = False

    def __add__(self, other: object) -> "WindowSummary":
        if not isinstance(other, WindowSummary):
            return NotImplemented
        if other.baseline != self.baseline or len(other.sums) != len(self.sums):
            raise SpecError(
                f"summaries of different baselines, {self.baseline.hex()} and {other.baseline.hex()}, do not add; keep them apart"
            )
        return WindowSummary(self.baseline, self.count + other.count, self.sums + other.sums)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WindowSummary):
            return NotImplemented
        same = self.baseline == other.baseline and self.count == other.count
        return same and np.array_equal(self.sums, other.sums)

    __hash__ = None  # type: ignore[assignment]

    def to_bytes(self) -> bytes:
        """Return it in a form that any machine can read."""
        planes = self.sums.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()
        deflated = zlib.compress(planes, 6)
        checked = _CHECKED.pack(_MAGIC, self.baseline, self.count, len(self.sums))
        return checked + _CRC.pack(zlib.crc32(deflated, zlib.crc32(checked))) + deflated

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "WindowSummary":
        """Read what `to_bytes` wrote.

        Raises:
            LoadError: the bytes are of something else, newer, cut off or damaged.
        """
        data = memoryview(data)
        if len(data) < HEAD_BYTES or data[:6] != _MAGIC[:6]:
            raise LoadError(f"these {len(data):,} bytes are no summary of a window")
        if data[:8] != _MAGIC:
            raise LoadError("a newer aiohooks wrote this summary of a window; update aiohooks")
        _, baseline, count, sums = _CHECKED.unpack_from(data)
        (crc,) = _CRC.unpack_from(data, _CHECKED.size)
        deflated = data[HEAD_BYTES:]
        if crc != zlib.crc32(deflated, zlib.crc32(data[: _CHECKED.size])) or sums > MOST_SUMS or count > MOST_EVENTS:
            raise _damaged()
        inflating = zlib.decompressobj()
        try:
            planes = inflating.decompress(deflated, 8 * sums + 1)
        except zlib.error:
            raise _damaged() from None
        if len(planes) != 8 * sums:
            raise _damaged()
        rows = np.frombuffer(planes, np.uint8).reshape(8, sums).T
        return cls(baseline, count, np.ascontiguousarray(rows).view("<i8").reshape(sums).astype(np.int64))


def count_in(head: bytes) -> int:
    """Return the number of events of a summary, of whose bytes the first 40 are enough; they are not checked."""
    return int(_CHECKED.unpack_from(head)[2])


def merge(summaries: Iterable[WindowSummary]) -> WindowSummary:
    """Return the sum of at least one summary; the order makes no difference.

    Raises:
        SpecError: there is none, they are of different baselines, or there are more events than a summary can hold.
    """
    remaining = iter(summaries)
    merged = next(remaining, None)
    if merged is None:
        raise SpecError("there is no summary to merge; begin with `baseline.summarise` of no events")
    for summary in remaining:
        merged = merged + summary
    return merged


def _damaged() -> LoadError:
    return LoadError("this summary of a window is damaged; take it from where it is whole")
