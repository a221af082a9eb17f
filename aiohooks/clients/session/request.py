"""What a request is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form.

    Attributes:
        name: of the part.
        content: its bytes, or the path of a file, which is read while it is sent, anew for each attempt.
        length: of the content in bytes.
        file_name: what the server is told; None for a text.
        media_type: as in ``Content-Type``.
    """

    name: str
    content: bytes | Path
    length: int
    file_name: str | None = None
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: such as ``inference_image``.
        json: its body, decoded.
        form: its body instead.
        is_repeatable: it may reach the server twice. Otherwise it is repeated only where the server has not acted on it.
        more_seconds: that the server may take for its answer.
    """

    method: str
    json: Any = None
    form: Sequence[Part] = ()
    is_repeatable: bool = True
    more_seconds: float = 0.0
