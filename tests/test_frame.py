from datetime import UTC

import numpy as np
import pytest

from aiohooks import Frame, FrameError

PIXELS = np.zeros((4, 6, 3), np.uint8)


def test_a_frame_knows_its_size_and_its_time() -> None:
    frame = Frame(PIXELS, name="cam", index=3)
    assert (frame.height, frame.width) == (4, 6)
    assert frame.timestamp.tzinfo is UTC
    assert repr(frame) == "Frame('cam', index=3, 6×4)"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[0]], "expected an RGB uint8 array of shape H×W×3, got list"),
        (np.zeros((0, 4, 3), np.uint8), "the picture has no pixels"),
        (np.zeros((4, 4, 3), np.float32), r"got float32 of shape 4×4×3: multiply by 255 first if it holds 0–1"),
        (np.zeros((4, 4, 3), np.uint16), r"got uint16 of shape 4×4×3: scale it to 0–255"),
        (np.zeros((4, 4), np.uint8), "a grey picture becomes RGB by"),
        (np.zeros((4, 4, 1), np.uint8), "a grey picture becomes RGB by"),
        (np.zeros((4, 4, 4), np.uint8), r"drop the alpha channel with image\[..., :3\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"pass one picture at a time, image\[0\]"),
        (np.zeros((3, 8, 8), np.uint8), r"got uint8 of shape 3×8×8: it looks like C×H×W"),
        (np.zeros((4, 4, 2), np.uint8), r"got uint8 of shape 4×4×2$"),
    ],
)
def test_what_is_not_rgb_is_refused_with_the_way_out(image: object, message: str) -> None:
    with pytest.raises(FrameError, match=f"frame 'cam': .*{message}"):
        Frame(image, name="cam")  # type: ignore[arg-type]


def test_a_subclass_of_array_is_a_picture() -> None:
    class Pixels(np.ndarray):
        pass

    assert Frame(PIXELS.view(Pixels)).width == 6


def test_other_pixels_have_no_file() -> None:
    frame = Frame(PIXELS, name="cam", encoded=b"file", context=1, owned=True)
    other = frame.with_image(PIXELS + 1)
    assert (other.name, other.context, other.encoded, other.owned) == ("cam", 1, None, False)


def test_a_snapshot_is_safe_from_the_caller() -> None:
    pixels = PIXELS.copy()
    snapshot = Frame(pixels, encoded=b"file").snapshot()
    pixels[:] = 9
    assert snapshot.image.max() == 0
    assert snapshot.encoded == b"file"
    assert snapshot.snapshot() is snapshot
