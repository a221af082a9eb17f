"""Frames as picture files."""

from typing import Literal, NamedTuple

from numpy import uint8
from numpy.typing import NDArray

from aiohooks.errors import ActionError
from aiohooks.frame import Frame

ImageFormat = Literal["png", "jpeg"]

SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".tif", ".gif")
"""Every suffix that a `Picture` may have."""


class Picture(NamedTuple):
    """An encoded picture.

    Attributes:
        data: the content of the file.
        suffix: of its name, with the dot.
        media_type: as in ``Content-Type``.
    """

    data: bytes
    suffix: str
    media_type: str


def picture_of(frame: Frame, image_format: ImageFormat, jpeg_quality: int) -> Picture:
    """Return the bytes that the frame was decoded from, if it has any, else encode it. Blocks for milliseconds.

    Args:
        frame: the frame.
        image_format: how to encode.
        jpeg_quality: 1–100.

    Raises:
        ActionError: the frame cannot be encoded.
    """
    kind = None if frame.encoded is None else _sniffed(frame.encoded)
    if frame.encoded is not None and kind is not None:
        return Picture(frame.encoded, *kind)
    if image_format == "jpeg":
        return Picture(encode(frame.image, ".jpg", jpeg_quality), ".jpg", "image/jpeg")
    return Picture(encode(frame.image, ".png"), ".png", "image/png")


def encode(image: NDArray[uint8], suffix: Literal[".png", ".jpg"], jpeg_quality: int = 90) -> bytes:
    """Encode RGB pixels. Blocks for milliseconds.

    Raises:
        ActionError: the picture cannot be encoded; JPEG allows 65,500 pixels a side.
    """
    import cv2  # heavy: loaded when first used

    parameters = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if suffix == ".jpg" else []
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
    if not done:
        raise ActionError(f"a picture of {image.shape[1]}×{image.shape[0]} pixels cannot be encoded as {suffix}")
    return data.tobytes()


def _sniffed(data: bytes) -> tuple[str, str] | None:
    """Tell suffix and media type from the first bytes of a file."""
    match data[:4]:
        case b"\x89PNG":
            return ".png", "image/png"
        case b"RIFF" if data[8:12] == b"WEBP":
            return ".webp", "image/webp"
        case b"II*\x00" | b"MM\x00*":
            return ".tif", "image/tiff"
        case b"GIF8":
            return ".gif", "image/gif"
        case start if start.startswith(b"\xff\xd8\xff"):
            return ".jpg", "image/jpeg"
        case start if start.startswith(b"BM"):
            return ".bmp", "image/bmp"
    return None
