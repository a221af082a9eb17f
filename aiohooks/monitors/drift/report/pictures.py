"""Pictures inside a page."""

import base64
import json
from collections.abc import Sequence

import numpy as np

from aiohooks.monitors.drift.report.findings import Finding

MOST_BYTES = 6_000_000
"""Of all pictures together, those of the baseline and addresses too, as text."""

_TYPES = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n", "png"), (b"GIF8", "gif"), (b"RIFF", "webp"))


def data_url(picture: bytes) -> str:
    """Return a picture as an address that holds it; empty for a file that no browser shows."""
    kind = next((kind for magic, kind in _TYPES if picture.startswith(magic)), None)
    return "" if kind is None else f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def chosen_pictures(windows: Sequence[Finding], most: int = MOST_BYTES) -> list[list[str]]:
    """Return the pictures of each window, as addresses, as far as there is room.

    Of each window its first comes first, then of each its second, and so on; the windows that are least likely by chance
    come before others. A picture that is left out is an empty text; the address of an example is left out with it.

    Args:
        windows: with their examples.
        most: bytes of all together.
    """
    chosen = [[""] * len(window.examples) for window in windows]
    surprises = np.nan_to_num([window.surprise for window in windows])
    order = np.argsort(-surprises, kind="stable").tolist()
    for place in range(max((len(window.examples) for window in windows), default=0)):
        for index in order:
            if place < len(windows[index].examples):
                example = windows[index].examples[place]
                url = data_url(example.picture) or example.address
                size = len(json.dumps(url)) if url == example.address else len(url)
                if size <= most:
                    chosen[index][place] = url
                    most -= size
    return chosen
