import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sources_fixtures import encode, smooth_picture

from aiohooks.errors import FrameError
from aiohooks.sources.decode import decode_image
from aiohooks.sources.wholeness import is_whole

RGB = smooth_picture()
IMAGE = Image.fromarray(RGB)
ALPHA = np.dstack([RGB, RGB[..., 0]])
PALETTE = IMAGE.quantize(64)
GREY_16 = (np.arange(60 * 80).reshape(60, 80) * 13).astype(np.uint16)
RGB_16 = np.stack([GREY_16, GREY_16[::-1], GREY_16[:, ::-1]], axis=-1)
TURNED = IMAGE.rotate(180)

AS_PILLOW = {
    "jpeg": encode(RGB, "JPEG"),
    "jpeg progressive": encode(RGB, "JPEG", progressive=True),
    "jpeg grey": encode(IMAGE.convert("L"), "JPEG"),
    "jpeg cmyk": encode(IMAGE.convert("CMYK"), "JPEG", quality=95),
    "png": encode(RGB, "PNG"),
    "png grey": encode(IMAGE.convert("L"), "PNG"),
    "png alpha": encode(ALPHA, "PNG"),
    "png grey alpha": encode(IMAGE.convert("LA"), "PNG"),
    "png palette": encode(PALETTE, "PNG"),
    "png palette with transparency": encode(PALETTE, "PNG", transparency=3),
    "png of one bit": encode(IMAGE.convert("1"), "PNG"),
    "png animated": encode(RGB, "PNG", save_all=True, append_images=[TURNED]),
    "webp": encode(RGB, "WEBP"),
    "webp alpha": encode(ALPHA, "WEBP", lossless=True),
    "webp animated": encode(RGB, "WEBP", lossless=True, save_all=True, append_images=[TURNED]),
    "bmp": encode(RGB, "BMP"),
    "bmp palette": encode(PALETTE, "BMP"),
    "tiff": encode(RGB, "TIFF"),
    "tiff lzw": encode(RGB, "TIFF", compression="tiff_lzw"),
    "tiff alpha": encode(ALPHA, "TIFF"),
    "tiff grey alpha": encode(IMAGE.convert("LA"), "TIFF"),
    "tiff cmyk": encode(IMAGE.convert("CMYK"), "TIFF"),
    "tiff palette": encode(PALETTE, "TIFF"),
    "tiff of two pages": encode(RGB, "TIFF", save_all=True, append_images=[TURNED]),
    "gif": encode(PALETTE, "GIF"),
    "gif animated": encode(PALETTE, "GIF", save_all=True, append_images=[TURNED.quantize(64)]),
    "ppm": encode(RGB, "PPM"),
    "pgm": encode(IMAGE.convert("L"), "PPM"),
    "pbm": encode(IMAGE.convert("1"), "PPM"),
    "jpeg 2000": encode(RGB, "JPEG2000"),
}

DEEP = {
    "png grey": (cv2.imencode(".png", GREY_16)[1], GREY_16),
    "png rgb": (cv2.imencode(".png", RGB_16[..., ::-1])[1], RGB_16),
    "tiff grey": (cv2.imencode(".tiff", GREY_16)[1], GREY_16),
    "tiff rgb": (cv2.imencode(".tiff", RGB_16[..., ::-1])[1], RGB_16),
    "pgm": (b"P5\n80 60\n65535\n" + GREY_16.astype(">u2").tobytes(), GREY_16),
    "pgm of 12 bits": (b"P5 80 60 4095\n" + (GREY_16 >> 4).astype(">u2").tobytes(), GREY_16),
    "pgm of 3 bits": (b"P5 80 60 7\n" + (GREY_16 >> 13).astype(np.uint8).tobytes(), (GREY_16 >> 13) * (65535 / 7)),
    "jpeg 2000": (cv2.imencode(".jp2", RGB_16[..., ::-1])[1], RGB_16),
}

REACHING_AN_END = ["jpeg", "jpeg progressive", "png", "webp", "bmp", "tiff", "tiff lzw", "gif", "ppm", "jpeg 2000"]


def decode(data: bytes, **options: Any) -> NDArray[np.uint8]:
    return decode_image(data, name="p", **options)[0]


def by_pillow(data: bytes) -> NDArray[np.int64]:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)


def assert_close(pixels: NDArray[np.uint8], expected: NDArray[Any], tolerance: float) -> None:
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance


@pytest.mark.parametrize("kind", AS_PILLOW)
def test_a_picture_has_the_pixels_that_pillow_sees(kind: str) -> None:
    pixels, is_exact = decode_image(AS_PILLOW[kind], name=kind)

    assert_close(pixels, by_pillow(AS_PILLOW[kind]), tolerance=2)
    assert is_exact


@pytest.mark.parametrize("kind", DEEP)
def test_samples_of_other_depths_are_scaled(kind: str) -> None:
    data, samples = DEEP[kind]
    expected = samples / 257 if samples.ndim == 3 else np.repeat(samples[..., np.newaxis] / 257, 3, axis=-1)

    assert_close(decode(bytes(data)), expected, tolerance=1)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_pixels_and_disowns_the_bytes(picture_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if picture_format == "TIFF" else {"exif": exif}
    data = encode(RGB, picture_format, **options)

    pixels, is_exact = decode_image(data, name="p")

    assert_close(pixels, by_pillow(data), tolerance=2)
    assert (pixels.shape == RGB.shape) == (orientation < 5)
    assert is_exact == (orientation == 1)


def test_an_orientation_behind_the_pixels_of_a_png_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    chunk = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    data = encode(RGB, "PNG")
    end = data.rindex(b"IEND") - 4

    pixels, is_exact = decode_image(data[:end] + chunk + data[end:], name="p")

    assert_close(pixels, np.rot90(RGB, -1).astype(int), tolerance=0)
    assert not is_exact


def test_a_broken_exif_block_is_no_orientation() -> None:
    data = encode(RGB, "JPEG", exif=b"Exif\0\0" + b"not tiff")

    assert_close(decode(data), by_pillow(encode(RGB, "JPEG")), tolerance=0)


@pytest.mark.parametrize("kind", REACHING_AN_END)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.99])
def test_a_picture_that_is_cut_off_is_an_error(kind: str, kept: float) -> None:
    data = AS_PILLOW[kind]

    with pytest.raises(FrameError, match=r"^p: "):
        decode(data[: int(len(data) * kept)])


@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "png", "webp"])
def test_a_picture_is_whole_if_it_reaches_its_end(kind: str) -> None:
    encoded = AS_PILLOW[kind]
    picture_format = kind.split()[0].upper()

    assert is_whole(encoded, picture_format)
    assert is_whole(encoded + b"more", picture_format)
    assert not any(is_whole(encoded[:kept], picture_format) for kept in range(len(encoded)))


@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "png", "webp"])
def test_bytes_behind_a_picture_do_no_harm(kind: str) -> None:
    assert_close(decode(AS_PILLOW[kind] + b"more"), by_pillow(AS_PILLOW[kind]), tolerance=2)


def test_the_end_mark_of_a_thumbnail_does_not_stand_for_that_of_the_picture() -> None:
    thumbnail = encode(IMAGE.resize((8, 6)), "JPEG")
    segment = b"\xff\xe5" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = AS_PILLOW["jpeg"]
    data = data[:2] + segment + data[2:]
    assert decode(data).shape == RGB.shape

    with pytest.raises(FrameError, match="its end is missing"):
        decode(data[:-2])


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_without_end(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1_000_000)))


def test_a_picture_over_the_limit_is_refused_by_its_header_alone() -> None:
    with pytest.raises(FrameError, match=r"30000×30000 pixels are more than the limit of 100,000,000"):
        decode(png_without_end(30_000, 30_000))


def test_the_limit_is_ours_and_not_the_global_one_of_pillow() -> None:
    with pytest.raises(FrameError, match="cut off"):  # not a DecompressionBombWarning, which would be an error here
        decode(png_without_end(10_000, 9_900))


def test_the_limit_can_be_set() -> None:
    assert decode(AS_PILLOW["png"], max_pixels=60 * 80).shape == RGB.shape
    with pytest.raises(FrameError, match="more than the limit of 4,799"):
        decode(AS_PILLOW["png"], max_pixels=60 * 80 - 1)


def test_a_picture_of_one_pixel() -> None:
    assert decode(encode(RGB[:1, :1], "PNG")).tolist() == RGB[:1, :1].tolist()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty"),
        (b"Dear reader,", r"not a picture .* b'Dear rea'"),
        (b"%PDF-1.7", "not a picture"),
        (b"BM, dear reader", "header of the BMP picture"),
        (b"P5 ten 1 255\n", "header of the PPM picture"),
        (b"P5 9 9 4095\n", "PPM picture is damaged"),
        (encode(GREY_16.astype(np.float32), "TIFF"), "no fixed range"),
        (encode(GREY_16.astype(np.int32), "TIFF"), "no fixed range"),
        (AS_PILLOW["gif"][:-40] + b";", "GIF picture is damaged"),
    ],
)
def test_what_is_not_a_picture_is_an_error_that_says_why(data: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=rf"^p: .*{complaint}"):
        decode(data)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(sorted(AS_PILLOW)),
    place=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=8),
)
def test_damaged_bytes_are_a_picture_or_an_error(kind: str, place: float, noise: bytes) -> None:
    data = bytearray(AS_PILLOW[kind])
    start = int(len(data) * place)
    data[start : start + len(noise)] = noise
    try:
        pixels = decode(bytes(data), max_pixels=1_000_000)
    except FrameError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


def png_of(*chunks: tuple[bytes, bytes], side: int = 64) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    whole = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in whole
    )


def zeros(count: int) -> bytes:
    """Compressed: a megabyte again and again, so that making it takes no time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * (count // 1_000_000) + b"\x03\0" + struct.pack(">HH", count % 65521, 1)


def of_many_scans(count: int) -> bytes:
    picture = encode(RGB, "JPEG", progressive=True)
    starts = [index for index in range(len(picture)) if picture.startswith(b"\xff\xda", index)]
    return picture[: starts[2]] + picture[starts[1] : starts[2]] * (count - 2) + b"\xff\xd9"


ROWS = zlib.compress(bytes(64 * (3 * 64 + 1)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (of_many_scans(101), "more than 100 scans"),
        (png_of(*[(b"tEXt", b"a\0b")] * 1001, (b"IDAT", ROWS)), "more than 1000 chunks come before its pixels"),
        (png_of((b"IDAT", zeros(100_000_000))), "more data than its pixels"),
        (png_of((b"IDAT", zeros(4_000_000_000)), side=1000), "more data than its pixels"),
        (b"P6\n#" + b" " * 70_000 + b"\n1 1 255\nabc", "the header of the PPM picture is damaged or cut off"),
    ],
    ids=["scans", "chunks", "small with more", "large with more", "comment"],
)
def test_a_picture_that_makes_work_beyond_its_pixels(data: bytes, said: str) -> None:
    assert len(data) < 5_000_000
    with pytest.raises(FrameError, match=said):
        decode_image(data, name="bomb")


def test_much_that_is_still_a_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    large = encode(noise, "PNG")
    assert len(large) > 2 * 1024 * 1024
    assert np.array_equal(decode_image(large, name="noise")[0], noise)
    behind = encode(RGB, "JPEG") + b"\xff\xda" * 1000  # as the video behind a motion photo
    assert decode_image(behind, name="motion")[0].shape == RGB.shape
    assert decode_image(of_many_scans(100), name="scans")[0].shape == RGB.shape
    assert decode_image(png_of(*[(b"tEXt", b"a\0b")] * 900, (b"IDAT", ROWS)), name="texts")[0].shape == (64, 64, 3)
