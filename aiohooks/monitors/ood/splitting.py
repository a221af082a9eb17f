"""Which pictures to train with and which to calibrate with, where they are not told apart."""

import math

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.ood.batch import Floats

LEAST_CALIBRATION = 30

_SHARE = 0.4
_MOST = 2000
_BLOCKS = 20


def split(
    features: Floats, groups: NDArray[np.int64] | None, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return numbers of pictures to train with and to calibrate with; those of a group, and equal ones, stay together.

    Args:
        features: N×D.
        groups: N numbers, the same for pictures that are alike, such as those of one scene.
        rng: draws the groups.

    Raises:
        SpecError: there are too few pictures, or so large groups that too few can be set aside.
    """
    count = len(features)
    held = min(round(_SHARE * count), _MOST)
    if held < LEAST_CALIBRATION:
        needed = round(LEAST_CALIBRATION / _SHARE)
        raise SpecError(f"features: at least {needed} pictures are needed where no calibration is given, got {count}")
    number = _together(features, groups)
    sizes = np.bincount(number)
    aside = np.zeros(len(sizes), bool)
    taken = 0
    for group in rng.permutation(len(sizes)).tolist():
        if taken + sizes[group] <= held:
            aside[group] = True
            taken += int(sizes[group])
            if taken == held:
                break
    if taken < LEAST_CALIBRATION:
        raise SpecError(
            f"features: where no calibration is given, {LEAST_CALIBRATION} of {count} pictures or more are set aside to calibrate with, and "
            f"their {len(sizes)} groups of equal or similar ones leave only {taken}: give more different pictures, or calibration"
        )
    return np.flatnonzero(~aside[number]), np.flatnonzero(aside[number])


def size_in_all(held: int) -> int | None:
    """Return of how many pictures so many are set aside, where none are equal; None if never so many are."""
    return None if held > _MOST else math.ceil((held - 0.5) / _SHARE)


def blocks(count: int) -> NDArray[np.int64]:
    """Return groups for so many frames of a video: 20 stretches, because frames are like those before them."""
    return np.arange(count) // max(1, math.ceil(count / _BLOCKS))


def _together(features: Floats, groups: NDArray[np.int64] | None) -> NDArray[np.intp]:
    """Return the number of each picture's group, from 0; groups that share equal pictures are one."""
    first: dict[bytes, int] = {}
    equal = np.array([first.setdefault(row.tobytes(), len(first)) for row in features])
    if groups is None:
        return equal
    given: NDArray[np.intp] = np.unique(groups, return_inverse=True)[1]
    found = given.copy()
    while True:
        before = found.copy()
        for members in (equal, given):
            least = np.full(members.max() + 1, len(features))
            np.minimum.at(least, members, found)
            found = least[members]
        if np.array_equal(before, found):
            numbers: NDArray[np.intp] = np.unique(found, return_inverse=True)[1]
            return numbers
