"""One picture on its way through a deployment."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import FrameError


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Frame:
    """A picture with what is known about it.

    Attributes:
        image: pixels, RGB, uint8, H×W×3.
        name: where the picture came from (file name, camera …); may be empty.
        index: position in its source, from 0.
        timestamp: when it was made, an aware datetime in UTC.
        encoded: the file bytes that decode to exactly these pixels, if there are any.
        context: anything the caller wants to find again beside the result.
        owned: nobody else writes to ``image``, so it need not be copied for hooks. Frames made by
            the sources of this package are owned: do not write to their pixels.

    Raises:
        FrameError: ``image`` is not an RGB uint8 array of shape H×W×3.
    """

    image: NDArray[np.uint8]
    name: str = ""
    index: int = 0
    timestamp: datetime = field(default_factory=_now)
    encoded: bytes | None = None
    context: Any = None
    owned: bool = False

    def __post_init__(self) -> None:
        image: object = self.image
        if (
            isinstance(image, np.ndarray)
            and image.dtype == np.uint8
            and image.ndim == 3
            and image.shape[2] == 3
            and image.size
        ):
            return
        raise FrameError(f"frame {self.name or self.index!r}: {_what_is_wrong(image)}")

    def __repr__(self) -> str:
        return f"Frame({self.name!r}, index={self.index}, {self.width}×{self.height})"

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    def with_image(self, image: NDArray[np.uint8]) -> "Frame":
        """Return the same frame with other pixels; the encoded bytes, which no longer fit, are dropped."""
        return replace(self, image=image, encoded=None, owned=False)

    def snapshot(self) -> "Frame":
        """Return a frame whose pixels nobody else can change: itself if it is owned, else a copy."""
        return self if self.owned else replace(self, image=self.image.copy(), owned=True)


def _what_is_wrong(image: object) -> str:
    if not isinstance(image, np.ndarray):
        return f"expected an RGB uint8 array of shape H×W×3, got {type(image).__name__}"
    found = f"expected RGB uint8 of shape H×W×3, got {image.dtype} of shape {'×'.join(map(str, image.shape))}"
    if image.size == 0:
        return f"{found}: the picture has no pixels"
    if image.dtype != np.uint8:
        hint = (
            "multiply by 255 first if it holds 0–1" if np.issubdtype(image.dtype, np.floating) else "scale it to 0–255"
        )
        return f"{found}: {hint}, then call .astype(np.uint8)"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return f"{found}: a grey picture becomes RGB by cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)"
    if image.ndim == 3 and image.shape[2] == 4:
        return f"{found}: drop the alpha channel with image[..., :3]"
    if image.ndim == 4:
        return f"{found}: pass one picture at a time, image[0]; infer_many takes several"
    if image.ndim == 3 and image.shape[0] == 3:
        return f"{found}: it looks like C×H×W; pass image.transpose(1, 2, 0)"
    return found
