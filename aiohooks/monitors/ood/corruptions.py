"""Pictures made unlike those that they are of: for who has none that are out of distribution."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import FrameError, SpecError
from aiohooks.frame import Frame
from aiohooks.sources import FrameIterator

Pixels = NDArray[np.uint8]


def cut_out(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture with a rectangle of a quarter to half of its area in one colour, as Geti's OOD model is trained with.

    Terrance DeVries, Graham W. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (arXiv 1708.04552).
    """
    height, width = pixels.shape[:2]
    share = np.sqrt(rng.uniform(0.25, 0.5))
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    changed = pixels.copy()
    changed[top : top + rows, left : left + columns] = rng.integers(0, 256, 3)
    return changed


def blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture out of focus: a Gaussian of 2–5 % of its shorter side."""
    import cv2  # heavy: loaded when first used

    sigma = rng.uniform(0.02, 0.05) * min(pixels.shape[:2])
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(sigma, 0.5)), np.uint8)


def noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture with Gaussian noise of 30–80 of 255."""
    drawn = rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(30, 80))
    return np.clip(pixels + drawn, 0, 255).astype(np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "cut_out": cut_out,
    "blur": blur,
    "noise": noise,
}
"""By the names under which `OODModel.fit` takes them."""


def known_corruptions(wanted: bool | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names that are meant: all by True.

    Raises:
        SpecError: there is no such corruption.
    """
    if isinstance(wanted, bool) or wanted is None:
        return tuple(CORRUPTIONS) if wanted else ()
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    for name in names:
        if name not in CORRUPTIONS:
            raise SpecError(f"corruptions: unknown {name!r}; known are {', '.join(CORRUPTIONS)}")
    return names


class Corrupted:
    """Every n-th frame corrupted, by each of the corruptions in turn; frames that cannot be read are left out.

    Args:
        frames: the pictures; they are closed with this.
        names: of `CORRUPTIONS`.
        every: n.
        seed: of what is drawn by chance.
    """

    def __init__(self, frames: FrameIterator, names: Sequence[str], *, every: int = 1, seed: int = 0) -> None:
        self._frames = frames
        self._names = names
        self._every = every
        self._rng = np.random.default_rng(seed)
        self._count = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while True:
            try:
                frame = await anext(self._frames)
            except FrameError:
                continue
            number, self._count = self._count, self._count + 1
            if number % self._every == 0:
                corruption = CORRUPTIONS[self._names[number // self._every % len(self._names)]]
                return frame.with_image(await anyio.to_thread.run_sync(corruption, frame.image, self._rng))

    async def aclose(self) -> None:
        """Close the pictures."""
        await self._frames.aclose()
