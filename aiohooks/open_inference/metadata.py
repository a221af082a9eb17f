"""What is told about servers and models."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from aiohooks.errors import SpecError


class TensorMetadata(msgspec.Struct, frozen=True):
    """What a server says about one input or output: name, datatype of the protocol, and shape, -1 for any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a server says about a model.

    Attributes:
        name: of the model.
        inputs: what it takes.
        outputs: what it gives.
        platform: what runs it.
        parameters: whatever else.
    """

    name: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    platform: str = ""
    parameters: dict[str, Any] = {}


def checked_url(url: str) -> str:
    """Return the URL of a server without a slash at its end.

    Raises:
        SpecError: it is not an http or https URL, or holds a password, query or fragment.
    """
    parts = urlsplit(url)
    is_plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise SpecError("the URL of the server must be http://HOST[:PORT] or https://…, without a password in it")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
