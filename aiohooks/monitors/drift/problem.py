"""What can be wrong with a value of an event."""

from collections import Counter
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray


class Problem(StrEnum):
    """What is wrong with a value; an event whose time or features have a problem is refused, another value counts as unknown."""

    MISSING = "missing"
    WRONG_TYPE = "wrong type"
    WRONG_WIDTH = "wrong width"
    NOT_FINITE = "not finite"
    OUT_OF_RANGE = "out of range"


Problems: TypeAlias = Counter[str]
"""How often what was wrong; a key is a field and a `Problem`, such as ``features: wrong width``."""

CODES = (None, *Problem)
"""What the codes of a column stand for; 0 is a good value."""


def code(problem: Problem) -> int:
    """Return the code of a problem."""
    return CODES.index(problem)


def counted(field: str, codes: NDArray[np.uint8]) -> Problems:
    """Count the problems of a column."""
    if not codes.any():
        return Problems()
    numbers = np.bincount(codes, minlength=len(CODES)).tolist()
    return Problems(
        {f"{field}: {problem}": number for problem, number in zip(CODES, numbers, strict=True) if problem and number}
    )
