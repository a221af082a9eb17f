"""Encoded pictures to RGB pixels.

Pillow reads the header, without pixels; OpenCV reads the pixels, without holding the interpreter. Only formats
that both handle safely are accepted.
"""

import io
import re
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from aiohooks.errors import FrameError
from aiohooks.sources.excess import header_excess, pixel_excess
from aiohooks.sources.source import MAX_PIXELS
from aiohooks.sources.wholeness import is_whole, png_chunks

Pixels = NDArray[np.uint8]

# Pillow's classes are called directly: `Image.open` would also warn about the size, by a limit that is global.
_READABLE: tuple[tuple[re.Pattern[bytes], type[ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"P[4-6]\s"), PpmImageFile),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), Jpeg2KImageFile),
)

_HINTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"....ftyp(?:hei|hev|mif|avi)", re.DOTALL), ": a HEIC or AVIF picture; convert it to JPEG first"),
    (
        re.compile(rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3", re.DOTALL),
        ": a video; stream and infer_many take it, or ah.video",
    ),
)
"""What else it may be, by how it begins."""


_PPM_HEADER_BYTES = 64 * 1024


def decode_image(data: bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> tuple[Pixels, bool]:
    """Decode a picture; of an animated one the first frame.

    Grey, palette, CMYK and 16-bit pictures become RGB of 8 bits; alpha is dropped; EXIF orientation is applied.

    Args:
        data: JPEG, PNG, WebP, BMP, TIFF, GIF, binary PPM/PGM/PBM or JPEG 2000.
        name: used in messages.
        max_pixels: refuse a picture whose header announces more pixels.

    Returns:
        The pixels, and whether they are exactly those in the file, that is, whether no rotation was needed.

    Raises:
        FrameError: it is not such a picture, damaged, cut off or too large.
    """
    header = _read_header(data, name)
    width, height = header.size
    if width * height > max_pixels:
        raise FrameError(
            f"{name}: {width}×{height} pixels are more than the limit of {max_pixels:,}; raise max_pixels if it is trusted"
        )
    picture_format = str(header.format)
    if not is_whole(data, picture_format):
        raise FrameError(f"{name}: the {picture_format} picture is cut off, its end is missing; copy or save it again")
    if excess := pixel_excess(data, picture_format, header.size):
        raise FrameError(f"{name}: the {picture_format} picture is not one to decode: {excess}")
    if header.mode == "F" or (header.mode == "I" and picture_format == "TIFF"):
        raise FrameError(
            f"{name}: its samples of 32 bits or with a sign have no fixed range; save it with 8 or 16 bits"
        )
    orientation = _orientation(header, data)
    try:
        pixels = _read_pixels(header, data)
    except Exception as error:  # whatever the codecs raise on hostile bytes
        raise FrameError(f"{name}: the {picture_format} picture is damaged: {error}") from error
    if pixels is None:
        raise FrameError(f"{name}: the {picture_format} picture is damaged or cut off, it cannot be decoded")
    if picture_format == "TIFF":  # both decoders have turned it already
        return pixels, orientation == 1
    return _turn(pixels, orientation), orientation == 1


def _read_header(data: bytes, name: str) -> ImageFile:
    if not data:
        raise FrameError(f"{name}: it is empty (0 bytes)")
    for signature, image_class in _READABLE:
        if signature.match(data):
            if excess := header_excess(data, image_class.format or ""):
                raise FrameError(f"{name}: the {image_class.format} picture is not one to decode: {excess}")
            # Pillow reads the numbers that begin a PPM byte by byte, and the comments between them, however long they are.
            start = data[:_PPM_HEADER_BYTES] if image_class is PpmImageFile else data
            try:
                return image_class(io.BytesIO(start))
            except Exception as error:  # whatever the parser raises on hostile bytes
                kind = image_class.format
                raise FrameError(f"{name}: the header of the {kind} picture is damaged or cut off: {error}") from error
    raise FrameError(
        f"{name}: not a picture that can be read (JPEG, PNG, WebP, BMP, TIFF, GIF, binary PPM, JPEG 2000);"
        f" it begins with {data[:8]!r}{_hint(data)}"
    )


def _hint(data: bytes) -> str:
    return next((hint for start, hint in _HINTS if start.match(data)), "")


def _read_pixels(header: ImageFile, data: bytes) -> Pixels | None:
    if header.format == "GIF" or (header.format == "TIFF" and header.mode in ("LA", "RGBA")):
        # OpenCV reads GIF only since 4.12, and darkens what is transparent in a TIFF.
        return np.array(header.convert("RGB"))
    encoded = np.frombuffer(data, np.uint8)
    if header.format == "PPM":
        return _read_ppm(header, encoded)
    return cast("Pixels | None", cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION))


def _read_ppm(header: ImageFile, encoded: Pixels) -> Pixels | None:
    """Scale samples by the largest value that the header names, which OpenCV takes for 255 or 65535."""
    pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        return None
    largest = 255 if pixels.dtype == np.uint8 else 65535
    if header.tile[0].codec_name == "ppm":  # Pillow's decoder for any other largest value
        _, largest = cast("tuple[str, int]", header.tile[0].args)
    pixels = cv2.convertScaleAbs(pixels, alpha=255 / largest)
    return cast("Pixels", cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB))


def _orientation(header: ImageFile, data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, if there is none that can be read."""
    try:
        if isinstance(header, TiffImageFile):
            value: int | None = header.tag_v2.get(ExifTags.Base.Orientation)
        else:
            exif = Image.Exif()
            exif.load(_exif_bytes(header, data))
            value = exif.get(ExifTags.Base.Orientation)
    except Exception:  # the picture itself may be sound
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif_bytes(header: ImageFile, data: bytes) -> bytes:
    encoded: bytes | None = header.info.get("exif")
    if encoded is None and header.format == "PNG":  # it may come after the pixels, where Pillow has not been
        return next((bytes(content) for kind, content in png_chunks(data) if kind == b"eXIf"), b"")
    return encoded or b""


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Turn a picture upright. Orientations: EXIF 2.32, tag 0x0112."""
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return cast("Pixels", turned)
