"""Which colour each label is drawn in."""

import re
import zlib
from collections.abc import Iterable

from aiohooks.annotation import Label

RGB = tuple[int, int, int]

_NO_COLOR = Label(name="").color
_HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})(?:[0-9a-fA-F]{2})?")
# Colours that stay apart on pictures, each readable under black or white text.
_PALETTE: tuple[RGB, ...] = tuple(
    (int(color[:2], 16), int(color[2:4], 16), int(color[4:], 16))
    for color in (
        "ff3838", "2c99a8", "ffb21d", "3448db", "92cc17", "cb38ff", "00d4bb", "ff701f", "1a9334", "ff95c8",
        "0194ec", "b5651d", "cfd231", "6473ff", "ff37c7", "48f90a", "8438ff", "a30f3d", "00c2ff", "8a8d0f",
    )
)  # fmt: skip


def label_colors(labels: Iterable[Label]) -> dict[Label, RGB]:
    """Return the colour of each label in red, green, blue.

    A label without a colour of its own (none given, malformed) takes one by its name; the next free one if another label has it.
    """
    colors: dict[Label, RGB] = {}
    uncolored: list[Label] = []
    for label in dict.fromkeys(labels):
        match = _HEX.fullmatch(label.color)
        if match is None or label.color == _NO_COLOR:
            uncolored.append(label)
        else:
            red, green, blue = (int(part, 16) for part in match.groups())
            colors[label] = red, green, blue
    taken = set(colors.values())
    for label in uncolored:
        start = zlib.crc32(label.name.encode("utf-8", "replace")) % len(_PALETTE)
        turn = (*_PALETTE[start:], *_PALETTE[:start])
        colors[label] = next((color for color in turn if color not in taken), turn[0])
        taken.add(colors[label])
    return colors


def ink(color: RGB) -> RGB:
    """Return the colour of text on this colour: white where its contrast by WCAG 2 is at least 3, else black."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (255, 255, 255) if (1 + 0.05) / (luminance + 0.05) >= 3 else (0, 0, 0)
