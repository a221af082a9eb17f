"""The pictures that a request holds."""

from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.open_inference import InferRequest
from aiohooks.server.limits import Limits
from aiohooks.server.open_inference.about import IMAGE, PIXELS
from aiohooks.server.open_inference.base64_text import from_base64

Picture = Frame | bytes


def pictures_of(request: InferRequest, limits: Limits) -> list[Picture]:
    """Return the pictures in a request's only input: encoded, or frames of pixels.

    `IMAGE` is BYTES of any shape, each value a picture; as text in JSON, in Base64. `PIXELS` is UINT8 of shape [height, width, 3], or
    [pictures, height, width, 3], RGB.

    Raises:
        SpecError: there is no picture, there are too many, or the input is not one of these.
        FrameError: pixels make no picture.
    """
    if len(request.inputs) != 1 or request.inputs[0].name not in (IMAGE, PIXELS):
        found = [tensor.name[:40] for tensor in request.inputs[:10]]
        raise SpecError(f"expected one input, {IMAGE!r} or {PIXELS!r}, got {found}")
    (tensor,) = request.inputs
    array = tensor.array
    pictures: list[Picture]
    if tensor.name == IMAGE:
        if tensor.datatype != "BYTES":
            raise SpecError(
                f"input {IMAGE!r}: expected BYTES, encoded pictures, got {tensor.datatype}; pixels go into {PIXELS!r}"
            )
        _check_count(array.size, limits)
        pictures = [from_base64(value) for value in array.reshape(-1).tolist()]
    else:
        if tensor.datatype != "UINT8" or array.ndim not in (3, 4) or array.shape[-1] != 3:
            raise SpecError(
                f"input {PIXELS!r}: expected UINT8 of shape [height, width, 3] or [pictures, height, width, 3], "
                f"got {tensor.datatype} of shape {list(array.shape)}"
            )
        stack = array if array.ndim == 4 else array[None]
        _check_count(len(stack), limits)
        if stack.shape[1] * stack.shape[2] > limits.pixels:
            raise SpecError(f"input {PIXELS!r}: a picture may have {limits.pixels:,} pixels")
        pictures = [Frame(pixels, request.id[:200], index, owned=True) for index, pixels in enumerate(stack)]
    return pictures


def _check_count(count: int, limits: Limits) -> None:
    if not 0 < count <= limits.frames:
        raise SpecError(f"expected 1 to {limits.frames} pictures, got {count}")
