"""The last layer of a classifier."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """The linear layer that makes logits of features: ``weights @ features + bias``.

    Attributes:
        weights: C×D, for C classes and features of D numbers.
        bias: C numbers.
    """

    weights: NDArray[np.floating]
    bias: NDArray[np.floating]
