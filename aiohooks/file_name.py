"""File names out of names that anybody may have chosen."""

import unicodedata

MAX_BYTES = 180
"""Longest safe name in UTF-8. File systems allow 255; the rest is for what is put around it."""

_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789¹²³")]
)


def safe_name(text: str, max_bytes: int = MAX_BYTES) -> str:
    """Return the text as part of a file name that is valid on Linux, macOS and Windows and names no folder.

    Letters of all scripts stay. What separates folders, controls terminals or is forbidden on Windows becomes ``_``,
    as does a leading dot. Names longer than ``max_bytes`` in UTF-8 are cut. Empty text stays empty.
    """
    name = "".join("_" if _is_unsafe(character) else character for character in text)
    if name.startswith("."):
        name = "_" + name[1:]
    if name.split(".")[0].strip().upper() in _RESERVED:
        # Windows means the device by `nul.txt` too.
        name = "_" + name
    return name.encode()[:max_bytes].decode(errors="ignore")


def _is_unsafe(character: str) -> bool:
    # Cc: controls, Cs: lone surrogates (no UTF-8 for them), Zl and Zp: line and paragraph separators.
    return character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
