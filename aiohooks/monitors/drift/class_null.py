"""How the events of one label move by chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiohooks.monitors.drift.covariance import Spread, spread
from aiohooks.monitors.drift.layout import UNIT, Events, Layout
from aiohooks.monitors.drift.mean_shift import MeanShift
from aiohooks.monitors.drift.null import Null, null_of


@dataclass(frozen=True, slots=True)
class ClassNull:
    """Labels have few events each, so that all are taken to vary alike about their own means.

    Attributes:
        spread: of the first components within labels, (r,); empty where labels are none or too many.
        null: what the measure is by chance for windows of one label.
    """

    spread: Spread
    null: Null

    @property
    def measure(self) -> MeanShift:
        """What tells how far the events of one label moved."""
        return MeanShift("class", slice(0, len(self.spread.mean)), self.spread)

    @classmethod
    def nothing(cls) -> "ClassNull":
        """Return that of a model without labels."""
        empty = Spread(np.zeros(0), np.zeros((0, 0)), np.zeros(0))
        return cls(empty, Null(np.zeros(0, np.int64), np.zeros((0, 0, 1), np.float32)))

    @classmethod
    def of(
        cls,
        events: Events,
        layout: Layout,
        sizes: NDArray[np.int64],
        *,
        windows: int,
        together: int,
        rng: np.random.Generator,
    ) -> "ClassNull":
        """Learn it from the events that windows are compared with; see `null_of` for the rest."""
        classes, of_each = layout.by_class
        if not of_each:
            return cls.nothing()
        counts = np.bincount(events.labels[events.labels >= 0], minlength=classes)
        # A label's only event lies at its mean, and tells nothing.
        usable = np.flatnonzero((events.labels >= 0) & (counts[events.labels] > 1))
        sizes = sizes[sizes * 2 <= len(usable) // together * together]
        if not len(sizes):
            return cls.nothing()
        labels, values = events.labels[usable], events.real[usable, :of_each] / UNIT
        means = np.zeros((classes, of_each))
        np.add.at(means, labels, values)
        means /= np.maximum(counts, 1)[:, None]
        within = (values - means[labels]) * np.sqrt(counts / np.maximum(counts - 1, 1))[labels][:, None]
        measure = MeanShift("class", slice(0, of_each), spread(within))
        null = null_of(within.astype(np.float32), [measure], sizes, windows=windows, together=together, rng=rng)
        return cls(spread(within), null)
