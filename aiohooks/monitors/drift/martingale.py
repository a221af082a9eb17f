"""An alarm with a guarantee: whatever the distribution, it seldom sounds while events are exchangeable with the baseline's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.covariance import Floats

_BETS = np.array([-1.0, 0.0, 1.0])
_JUMP = 0.01


class MartingaleAlarm:
    """Bets against the p-values of events being uniform, and sounds when it has won too much for chance.

    The p-values are conformal: ranks among the baseline's events and those of the stream so far, ties broken at random,
    and so independent and uniform as long as all are exchangeable. The bets are those of the Simple Jumper, summed up
    over all times at which the change may have come: the procedure of Shiryaev and Roberts, whose mean time between false
    alarms is at least the threshold (V. Vovk et al., "Retrain or not retrain: conformal test martingales for
    change-point detection", 2021). One stake is laid on each of several numbers, and their mean counts.

    It depends on the order of events. Frames that follow each other closely are not exchangeable with pictures drawn at
    random: give it one in so many.

    Args:
        counts: histograms of each number over the baseline, (B,) each.
        rate: false alarms per event, in (0, 0.01].
        seed: breaks the ties.

    Raises:
        SpecError: the rate is out of its range.
    """

    def __init__(self, counts: Sequence[NDArray[np.int64]], rate: float, seed: int = 0) -> None:
        if not 0 < rate <= 0.01:
            raise SpecError(f"{1000 * rate:g} false alarms per 1,000 events: it must be above 0 and at most 10")
        self._baseline = np.zeros((len(counts), max(map(len, counts))))
        for row, of_number in zip(self._baseline, counts, strict=True):
            row[: len(of_number)] = of_number
        self._rng = np.random.default_rng(seed)
        self._threshold = 1 / rate
        self._begin()

    def _begin(self) -> None:
        self._counts = self._baseline.copy()
        self._won = np.zeros((len(self._counts), len(_BETS)))

    @property
    def value(self) -> float:
        """What was won, as a multiple of what sounds the alarm."""
        return float(self._won.sum(1).mean()) / self._threshold

    def won(self) -> Floats:
        """Return what was won with each number, as a multiple of what sounds the alarm: the largest changed most."""
        return np.asarray(self._won.sum(1) / self._threshold)

    def update(self, bins: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take events in, in their order, and return at which of them the alarm sounded.

        Args:
            bins: (N, S), of each number, from 0; -1 where an event has none.
        """
        sounded = []
        numbers = np.arange(bins.shape[1])
        for index, (place, tie) in enumerate(zip(bins, self._rng.random(bins.shape), strict=True)):
            known = place >= 0
            self._counts[numbers[known], place[known]] += 1
            cumulated = self._counts.cumsum(1)
            here = self._counts[numbers, place]
            p_values = (cumulated[numbers, place] - here * tie) / cumulated[:, -1]
            stake = self._won + 1 / len(_BETS)
            stake = (1 - _JUMP) * stake + _JUMP * stake.mean(1, keepdims=True)
            bet = 1 + np.outer(np.where(known, p_values - 0.5, 0), _BETS)
            self._won = stake * bet
            if self._won.sum(1).mean() >= self._threshold:
                sounded.append(index)
                self._begin()
        return np.array(sounded, np.int64)
