"""How many in-distribution pictures are as strange as a frame: p-values from a calibration set.

With n calibration pictures, p = (1 + how many of them are at least as strange) / (n + 1) is at most a for at most a
share a of in-distribution pictures, whatever the measure (V. Vovk et al., "Algorithmic Learning in a Random World",
2005): that is `conformal_p_values`. It takes steps of 1 / (n + 1) and cannot be smaller than one. A `Survival` goes
through the same steps without being one: level with the p-value above at each calibration picture, on a line in
between, and falling exponentially where there are few pictures, or none: by a factor e for each mean excess of the
highest tenth over the values below it.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from aiohooks.errors import SpecError
from aiohooks.monitors.ood.batch import Doubles

_TAIL = 0.1
_LEAST_IN_TAIL = 5
_FAR = 1e6


@dataclass(frozen=True, eq=False)
class Survival:
    """Share of in-distribution pictures that are stranger than a value.

    Attributes:
        values: m, rising; the last one is far beyond all that were seen.
        log_shares: m, falling; logarithms. In between they are on a line.
    """

    values: Doubles
    log_shares: Doubles

    @classmethod
    def fit(cls, values: Doubles, *, smooth_tail: bool) -> Self:
        """Take the shares from the values of n calibration pictures.

        Args:
            values: n, at least 2.
            smooth_tail: whether to replace the steps of the highest tenth by an exponential too; else it only goes on
                from the highest value.
        """
        ordered = np.sort(values)
        count = len(ordered)
        tail = min(max(_LEAST_IN_TAIL, math.ceil(_TAIL * count)), count - 1)
        excess = float((ordered[-tail:] - ordered[-tail - 1]).mean())
        if smooth_tail:
            ordered = ordered[: count - tail]
        distinct, first = np.unique(ordered, return_index=True)
        shares = (count - first) / (count + 1)
        least = 1e-9 * max(abs(float(distinct[-1])), 1e-9)
        last, log_share = distinct[-1], np.log(shares[-1])
        return cls(
            np.append(distinct, last + _FAR * max(excess, least)),
            np.append(np.log(shares), log_share - _FAR),
        )

    def log_p(self, values: Doubles) -> Doubles:
        """Return the logarithms of the shares."""
        return np.interp(values, self.values, self.log_shares)

    def log_p_of(self, value: float) -> float:
        """Return the logarithm of the share of one value."""
        return interpolated(value, *self._lists)

    @cached_property
    def _lists(self) -> tuple[list[float], list[float]]:
        return self.values.tolist(), self.log_shares.tolist()


def interpolated(value: float, values: list[float], results: list[float]) -> float:
    """Return what ``numpy.interp`` does, for one number; −infinity for NaN, to which nothing compares.

    Args:
        value: where.
        values: rising.
        results: there.
    """
    if value <= values[0]:
        return results[0]
    if value >= values[-1]:
        return results[-1]
    if math.isnan(value):
        return -math.inf
    before = bisect_right(values, value) - 1
    slope = (results[before + 1] - results[before]) / (values[before + 1] - values[before])
    return slope * (value - values[before]) + results[before]


def conformal_p_values(values: Doubles, calibration: Doubles) -> Doubles:
    """Return (1 + how many of n calibration values are at least as large) / (n + 1).

    Args:
        values: N.
        calibration: n, rising.
    """
    below = np.searchsorted(calibration, values, side="left")
    p_values: Doubles = (1 + len(calibration) - below) / (len(calibration) + 1)
    return p_values


def pictures_needed(false_alarm_rate: float) -> int:
    """Return the least n for which (1 + 0) / (n + 1) is at most the rate.

    Raises:
        SpecError: the rate is not between 0 and 1.
    """
    if not 0 < false_alarm_rate < 1:
        raise SpecError(f"false_alarm_rate: it must be between 0 and 1, got {false_alarm_rate!r}")
    return math.ceil(1 / false_alarm_rate - 1 - 1e-9)
