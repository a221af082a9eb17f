"""What measures are fitted on."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.bank import Bank, MostInBank, quick_size
from aiohooks.monitors.ood.batch import Batch, Floats
from aiohooks.monitors.ood.whitening import Whitening
from aiohooks.monitors.progress import Progress, unseen


class Training:
    """Pictures to fit on, and what several measures make of them.

    Attributes:
        batch: the training pictures.
        labels: N numbers from 0 to C − 1, each at least once.
        held_out: other in-distribution pictures, for what training pictures would show too rosily.
        strange: pictures out of distribution, or None.
        last_layer: of the network, or None.
        rooted: whether measures of features scaled to length 1 take their square roots first.
        seed: of what is drawn by chance.
        progress: told how far the fit has come; what it raises ends the fit.
    """

    def __init__(
        self,
        batch: Batch,
        labels: NDArray[np.intp],
        held_out: Batch,
        *,
        strange: Batch | None = None,
        last_layer: LastLayer | None = None,
        most_in_bank: MostInBank = None,
        rooted: bool = False,
        seed: int = 0,
        progress: Progress = unseen,
    ) -> None:
        self.batch = batch
        self.labels = labels
        self.held_out = held_out
        self.strange = strange
        self.last_layer = last_layer
        self.rooted = rooted
        self.seed = seed
        self.progress = progress
        self._most_in_bank = most_in_bank

    @property
    def features(self) -> Floats:
        """N×D."""
        return self.batch.features

    @cached_property
    def whitening(self) -> Whitening:
        """By classes, of the features as they are."""
        return Whitening.fit(self.features, self.labels, unit=False, progress=self.progress)

    @cached_property
    def unit_whitening(self) -> Whitening:
        """By classes, of the features scaled to length 1."""
        return Whitening.fit(self.features, self.labels, unit=True, rooted=self.rooted, progress=self.progress)

    @cached_property
    def total_whitening(self) -> Whitening:
        """As if there were one class, of the features as they are; beyond its directions as precise as by classes."""
        return self._total(self.whitening)

    @cached_property
    def total_unit_whitening(self) -> Whitening:
        """As if there were one class, of the features scaled to length 1; beyond its directions as precise as by classes."""
        return self._total(self.unit_whitening)

    def _total(self, by_class: Whitening) -> Whitening:
        # With fewer pictures than numbers most of a frame is beyond the directions: it must not weigh by two measures.
        total = Whitening.fit(
            self.features,
            np.zeros_like(self.labels),
            unit=by_class.unit,
            rooted=by_class.rooted,
            progress=self.progress,
        )
        return replace(total, rest_precision=by_class.rest_precision)

    @cached_property
    def bank(self) -> Bank:
        """Of the features scaled to length 1."""
        most = quick_size(self.features.shape[1]) if self._most_in_bank == "auto" else self._most_in_bank
        return Bank.fit(
            self.unit_whitening,
            self.features,
            self.labels,
            most=most,
            rng=np.random.default_rng((self.seed, 1)),
            progress=self.progress,
        )
