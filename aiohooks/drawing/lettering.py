"""Text as pixels. Pillow draws it, since OpenCV knows ASCII only."""

import logging
import unicodedata
from functools import cache, lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_logger = logging.getLogger(__name__)

# Pillow's own font has ASCII and little more. For other letters these are looked for where the system keeps its fonts.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf", "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "DroidSansFallback.ttf",
    "msyh.ttc", "msgothic.ttc", "malgun.ttf", "Nirmala.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
    "NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf",
)  # fmt: skip
_PILLOWS_OWN = ""
_LONGEST = 200


def length(text: str, size: int) -> float:
    """Return the width in pixels of a line of text of this font size."""
    readable, font_name = _readable(text)
    return _font(font_name, size).getlength(readable)


def shortened(text: str, size: int, width: int) -> str:
    """Return as much of a text as fits into this width in pixels, at least one letter; … stands for the rest."""
    if len(text) <= _LONGEST and length(text, size) <= width:
        return text
    for end in range(min(len(text), _LONGEST) - 1, 0, -1):
        if length(text[:end] + "…", size) <= width:
            return text[:end] + "…"
    return text[:1]


@lru_cache(maxsize=256)
def letters(text: str, size: int) -> NDArray[np.uint8]:
    """Return how much ink is on each pixel of a line of text, 0–255; its height is that of the font."""
    readable, font_name = _readable(text)
    font = _font(font_name, size)
    ascent, descent = font.getmetrics()
    picture = Image.new("L", (max(1, round(font.getlength(readable))), ascent + descent))
    ImageDraw.Draw(picture).text((0, 0), readable, fill=255, font=font)
    return np.asarray(picture)


@lru_cache(maxsize=1024)
def _readable(text: str) -> tuple[str, str]:
    """Return the text in letters that can be drawn, and the font to draw it with.

    A letter that no font has becomes its base letter (ä: a), or its code if it has none.
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    fonts = (_PILLOWS_OWN,) if _has_all(_PILLOWS_OWN, line) else (_PILLOWS_OWN, *_system_fonts())
    font = min(fonts, key=lambda name: sum(not _has(name, letter) for letter in line))
    missing = {letter for letter in line if not _has(font, letter)}
    if missing:
        _logger.warning(
            "no font has %s of the label %r: install one that does, such as Noto Sans", sorted(missing), text
        )
    return "".join(_substitute(letter, font) if letter in missing else letter for letter in line), font


def _substitute(letter: str, font: str) -> str:
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if _has(font, base) else f"[{ord(letter):X}]"


def _has_all(font: str, text: str) -> bool:
    return all(_has(font, letter) for letter in text)


@lru_cache(maxsize=4096)
def _has(font: str, letter: str) -> bool:
    return letter == " " or _glyph(font, letter) != _glyph(font, "\U0010fffe")


def _glyph(font: str, letter: str) -> tuple[tuple[int, int], bytes]:
    ink = _font(font, 16).getmask(letter)
    return ink.size, bytes(ink)


@cache
def _system_fonts() -> tuple[str, ...]:
    return tuple(name for name in _SYSTEM_FONTS if _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        ImageFont.truetype(name, 16)
    except OSError:
        return False
    return True


@lru_cache(maxsize=64)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name == _PILLOWS_OWN:
        return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))  # a bitmap font only where no size is given
    return ImageFont.truetype(name, size)
