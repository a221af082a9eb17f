"""How bright, how sharp and how large pictures are, from a few thousand of their pixels."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.event import NUMBERS

_GRID = 16
"""Pixels a side whose mean is the brightness."""

_PATCHES = 3
_PATCH = 16
"""Sharpness is measured on 3 × 3 patches of 16 × 16 pixels at the picture's own resolution: a smaller picture of it would be sharp anyway."""

IMAGE_NUMBERS = NUMBERS[:4]
"""What `measure` returns."""


class PictureSample(NamedTuple):
    """What is copied of a picture, in microseconds; the rest can be done later, elsewhere.

    Attributes:
        pixels: uint8, RGB values of the grid, then green values of the patches.
        size: height and width of the picture.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def sample(image: NDArray[np.uint8]) -> PictureSample:
    """Copy what is needed of a picture, RGB uint8 H×W×3."""
    height, width = image.shape[:2]
    rows, columns, channels, flat = _places(height, width)
    if image.flags.c_contiguous:
        return PictureSample(image.reshape(-1).take(flat), (height, width))
    return PictureSample(image[rows, columns, channels], (height, width))


def measure(samples: list[PictureSample]) -> dict[str, NDArray[np.float64]]:
    """Return brightness, sharpness, width and height of N pictures, float64 (N,) each.

    Brightness is the mean of red, green and blue in 0–1. Sharpness is the root mean square of the Laplacian (4 neighbours) of
    green in 0–255 (J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000); it has no upper end.
    """
    numbers = {name: np.empty(len(samples)) for name in IMAGE_NUMBERS}
    by_size: dict[tuple[int, int], list[int]] = {}
    for i, one in enumerate(samples):
        by_size.setdefault(one.size, []).append(i)
    for (height, width), which in by_size.items():
        pixels = np.stack([samples[i].pixels for i in which])
        grid = min(_GRID, height) * min(_GRID, width) * 3
        numbers["brightness"][which] = pixels[:, :grid].mean(axis=1) / 255
        patch_height, patch_width = min(_PATCH, height), min(_PATCH, width)
        green = pixels[:, grid:].reshape(len(which), -1, patch_height, patch_width).astype(np.int32)
        numbers["sharpness"][which] = _sharpness(green)
        numbers["width"][which] = width
        numbers["height"][which] = height
    return numbers


def _sharpness(green: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the sharpness of pictures from their patches (N, P, h, w)."""
    if min(green.shape[2:]) < 3:
        return np.zeros(len(green))
    around = green[..., :-2, 1:-1] + green[..., 2:, 1:-1] + green[..., 1:-1, :-2] + green[..., 1:-1, 2:]
    laplacian = around - 4 * green[..., 1:-1, 1:-1]
    mean: NDArray[np.float64] = np.square(laplacian).mean(axis=(1, 2, 3))
    return np.sqrt(mean)


@lru_cache(maxsize=64)
def _places(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return rows, columns and channels of what is copied, and the same as positions in the flat picture."""
    grid_rows, grid_columns = _spread(height, min(_GRID, height)), _spread(width, min(_GRID, width))
    rows, columns, channels = (
        places.ravel() for places in np.meshgrid(grid_rows, grid_columns, np.arange(3), indexing="ij")
    )
    patch_height, patch_width = min(_PATCH, height), min(_PATCH, width)
    tops = np.linspace(0, height - patch_height, _PATCHES + 2).astype(np.intp)[1:-1]
    lefts = np.linspace(0, width - patch_width, _PATCHES + 2).astype(np.intp)[1:-1]
    top, left, down, right = (
        places.ravel()
        for places in np.meshgrid(tops, lefts, np.arange(patch_height), np.arange(patch_width), indexing="ij")
    )
    rows, columns = np.concatenate([rows, top + down]), np.concatenate([columns, left + right])
    channels = np.concatenate([channels, np.ones(len(top), np.intp)])
    return rows, columns, channels, (rows * width + columns) * 3 + channels


def _spread(length: int, count: int) -> NDArray[np.intp]:
    """Return the middles of so many equal parts of a side."""
    return ((np.arange(count) + 0.5) * length / count).astype(np.intp)
