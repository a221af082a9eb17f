"""How far the energy of the logits is from the usual, to either side."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aiohooks.monitors.ood.batch import Batch, Doubles
from aiohooks.monitors.ood.scores.score import Need
from aiohooks.monitors.ood.training import Training

_SHARE = 0.1
_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class EnergyTwoSided:
    """The energy of arXiv 2010.03759; a small head on features of a pretrained network is often surest of the strangest.

    Each side is measured by its own spread. Logarithms of probabilities, whose energy is always 0, are shifted first
    to have the mean 0; that leaves their differences as they are.

    Attributes:
        shifted: whether to shift.
        middle: median of the energy.
        below: distance to its 10 % quantile.
        above: distance to its 90 % quantile.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"logits"})

    shifted: bool
    middle: float
    below: float
    above: float

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Take the usual energies from pictures that were held out."""
        shifted = bool(np.ptp(training.held_out.energy) < _SAME)
        energy = _energy(training.held_out, shifted)
        below, middle, above = np.quantile(energy, [_SHARE, 0.5, 1 - _SHARE])
        least = 1e-6 * max(abs(float(middle)), 1e-6)
        return cls(shifted, float(middle), max(float(middle - below), least), max(float(above - middle), least))

    def __call__(self, batch: Batch) -> Doubles:
        """Return N distances in units of the spread on that side."""
        offsets = _energy(batch, self.shifted) - self.middle
        return np.where(offsets > 0, offsets / self.above, -offsets / self.below)

    def of(self, energy: float) -> float:
        """Return the distance of one energy."""
        offset = energy - self.middle
        return offset / self.above if offset > 0 else -offset / self.below


def _energy(batch: Batch, shifted: bool) -> Doubles:
    return batch.energy + batch.logits.mean(axis=1) if shifted else batch.energy
