"""Pictures in JSON, which has no bytes."""

import base64
import binascii
import re

_ALPHABET = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")


def from_base64(value: bytes) -> bytes:
    """Return the bytes that a text in Base64 (RFC 4648) stands for; what is none is returned as it is.

    No picture begins like such a text: all formats have bytes in their first four that it does not use, but those of PPM and BMP, which
    have them soon after.
    """
    if _ALPHABET.match(value[:64]) is None or _ALPHABET.fullmatch(value) is None:
        return value
    try:
        return base64.b64decode(value)
    except binascii.Error:
        return value
