"""What measures are by chance alone, for windows of every size, and the p-values that follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.measure import Measure, Totals

_TAIL = 0.02
"""Share of the largest values by chance beyond which p-values follow an exponential tail instead of ranks."""

_LEAST = 1e-300

_POWER = -0.25

_RATIO = 1.4


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """Values of S measures for M windows of each of G sizes, all of events of the baseline that nothing was fitted to.

    Attributes:
        sizes: (G,), ascending numbers of events.
        values: (G, M, S).
    """

    sizes: NDArray[np.int64]
    values: NDArray[np.float32]
    _ordered: NDArray[np.float32] = field(init=False, repr=False)
    _known: dict[tuple[int, bytes], Floats] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ordered", np.sort(self.values.transpose(0, 2, 1), axis=2))

    def p_values(self, values: Floats, events: Floats) -> Floats:
        """Return the p-values (S,) of measures of one window; 1 where a measure could judge too few events.

        Args:
            values: (S,).
            events: (S,), how many each could judge; more than the largest size counts as that.
        """
        found = np.ones(len(values))
        for measure, (value, count) in enumerate(zip(values, events, strict=True)):
            if count >= self.sizes[0]:
                found[measure] = sum(
                    share * _p_value(self._ordered[size, measure], value) for size, share in self._between(count)
                )
        return found

    def combined(self, p_values: Floats, weights: Floats, count: float) -> float:
        """Return the p-value of a weighted mean of p-values, that of what it is by chance.

        The mean is that of the powers p^(-1/4), between Fisher's, which sees what many measures see a little, and the
        least, which sees what one measure sees well (V. Vovk, R. Wang, "Combining p-values via averaging", 2020). Its
        logarithm has an exponential tail, however the measures depend on each other, and so has what follows from it.

        Args:
            p_values: (S,).
            weights: (S,), 0 for measures that are left out.
            count: number of events of the window.
        """
        value = math.log(float(p_values**_POWER @ weights))
        return sum(share * _p_value(self._means(size, weights), value) for size, share in self._between(count))

    def quantile(self, measure: int, share: float, count: float) -> float:
        """Return the value that a measure stays below in such a share of windows by chance."""
        at = round(share * (self.values.shape[1] - 1))
        return sum(part * float(self._ordered[size, measure, at]) for size, part in self._between(count))

    def _means(self, size: int, weights: Floats) -> Floats:
        """Return the logarithms of the weighted means of the windows by chance, ascending, (M,)."""
        key = (size, weights.tobytes())
        if key not in self._known:
            values, ordered = self.values[size], self._ordered[size]
            p_values = np.stack([_own_p_values(ordered[at], values[:, at]) for at in range(len(weights))], 1)
            self._known[key] = np.sort(np.log(p_values**_POWER @ weights))
        return self._known[key]

    def _between(self, count: float) -> list[tuple[int, float]]:
        """Return the indices of the sizes around a number of events, and the weight of each, linear in its logarithm."""
        after = int(np.searchsorted(self.sizes, count))
        if after == 0 or after == len(self.sizes):
            return [(min(after, len(self.sizes) - 1), 1.0)]
        if self.sizes[after] == count:
            return [(after, 1.0)]
        below, above = np.log(self.sizes[after - 1]), np.log(self.sizes[after])
        share = float((np.log(count) - below) / (above - below))
        return [(after - 1, 1 - share), (after, share)]


def sizes_up_to(least: int, most: int) -> NDArray[np.int64]:
    """Return sizes of windows from the least to the most, each about 1.4 times the one before."""
    steps = max(1, round(np.log(most / least) / np.log(_RATIO)))
    return np.unique(np.rint(np.geomspace(least, most, steps + 1)).astype(np.int64))


def null_of(
    rows: NDArray[np.float32],
    measures: Sequence[Measure],
    sizes: NDArray[np.int64],
    *,
    windows: int,
    together: int,
    rng: np.random.Generator,
) -> Null:
    """Measure windows drawn from a reference against what is left of it.

    Args:
        rows: (N, P), what each event of the reference adds; N at least twice the largest size.
        measures: what to measure.
        sizes: of the windows.
        windows: how many of each size.
        together: so many consecutive events are always drawn together.
        rng: draws them.
    """
    total = Totals(np.array([float(len(rows))]), rows.sum(0, dtype=np.float64)[None])
    values = np.empty((len(sizes), windows, len(measures)), np.float32)
    for index, size in enumerate(sizes):
        drawn = _draw(len(rows), int(size), windows, together, rng)
        inside = Totals(np.full(windows, float(size)), (drawn @ rows).astype(np.float64))
        outside = Totals(total.counts - inside.counts, total.sums - inside.sums)
        for place, measure in enumerate(measures):
            values[index, :, place] = measure(inside, outside)
    return Null(sizes, values)


def _draw(count: int, size: int, windows: int, together: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return which events of a reference make each window, (M, N): runs of consecutive ones, each event at most once."""
    runs = -(-size // together)
    first = np.argpartition(rng.random((windows, count // together)), runs - 1, axis=1)[:, :runs] * together
    events = (first[:, :, None] + np.arange(together)).reshape(windows, -1)[:, :size]
    drawn = np.zeros((windows, count), np.float32)
    np.put_along_axis(drawn, events, 1, axis=1)
    return drawn


def _p_value(ordered: NDArray[np.floating], value: float) -> float:
    """Return (1 + how many are as large) / (M + 1), and past the largest few what an exponential tail of them says.

    In the tail, the excess of a value over the mean excess of the K before has the F distribution with 2 and 2 K degrees of
    freedom, so that false alarms are as many as asked for although these few are all that is known of it.
    """
    total = len(ordered)
    start, excesses, few = _tail(ordered)
    if value <= start or excesses <= 0:
        return (1 + total - int(np.searchsorted(ordered, value))) / (total + 1)
    return float(max((few + 1) / (total + 1) * (1 + (value - start) / excesses) ** -few, _LEAST))


def _own_p_values(ordered: NDArray[np.floating], values: NDArray[np.floating]) -> Floats:
    """Return the p-values (M,) of the values themselves, of each as if it were new to the others."""
    total = len(ordered)
    p_values: Floats = 1 - np.searchsorted(ordered, values) / total
    start, excesses, few = _tail(ordered)
    if excesses <= 0:
        return p_values
    share = np.clip((values - start) / excesses, 0, 1)
    return np.where(values <= start, p_values, np.maximum(few / total * (1 - share) ** (few - 1), _LEAST))


def _tail(ordered: NDArray[np.floating]) -> tuple[float, float, int]:
    """Return where the tail of the largest values begins, the sum of what they are beyond that, and how many they are."""
    few = int(_TAIL * len(ordered))
    start = float(ordered[len(ordered) - few - 1])
    return start, float((ordered[len(ordered) - few :] - start).sum()), few
