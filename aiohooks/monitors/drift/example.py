"""Example pictures of a window: a weighted sample of its events."""

import hashlib
import heapq
from collections.abc import Iterable

import msgspec

from aiohooks.monitors.drift.bin import Bin

KEPT: dict[Bin, int] = {"minute": 4, "hour": 12, "day": 24, "week": 24}
"""How many examples a window of each length has at most."""


class Example(msgspec.Struct, frozen=True, array_like=True):
    """A picture of an event.

    Attributes:
        key: its place in the sample; the highest keys of a window stay.
        time: of the event, in seconds since the epoch.
        picture: a JPEG, or another file that a browser shows; may be empty.
        address: of the picture, where that is what is known.
        label: what the model saw; may be empty.
        ood_score: of the event, if it is known.
    """

    key: float
    time: float
    picture: bytes = b""
    address: str = ""
    label: str = ""
    ood_score: float | None = None


def draw_key(weight: float, draw: float) -> float:
    """Return the key of an event in a weighted sample without replacement: those with the k highest keys are one of size k.

    Samples merge by their keys. P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir" (2006).

    Args:
        weight: above 0; the probability to be drawn first is in proportion.
        draw: uniform in (0, 1).
    """
    return float(draw ** (1 / weight))


def seeded_draw(seed: str) -> float:
    """Return a number that looks uniform in (0, 1) and is the same for the same text, on every machine."""
    digest = hashlib.blake2b(seed.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") + 0.5) / 2**64


def best(examples: Iterable[Example], length: Bin) -> tuple[Example, ...]:
    """Return the examples that a window of that length keeps, the highest key first; the order that they come in makes no difference."""
    return tuple(heapq.nlargest(KEPT[length], set(examples), key=lambda example: (example.key, example.time)))
