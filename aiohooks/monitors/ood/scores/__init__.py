"""Measures of how strange a frame is, each in a file of its own."""

from aiohooks.monitors.ood.scores.cood import COOD
from aiohooks.monitors.ood.scores.discriminant import Discriminant
from aiohooks.monitors.ood.scores.energy import Energy
from aiohooks.monitors.ood.scores.energy_two_sided import EnergyTwoSided
from aiohooks.monitors.ood.scores.entropy_distance import EntropyDistance
from aiohooks.monitors.ood.scores.fdbd import FDBD
from aiohooks.monitors.ood.scores.gen import GEN
from aiohooks.monitors.ood.scores.knn import KNN
from aiohooks.monitors.ood.scores.length import Length
from aiohooks.monitors.ood.scores.local_mahalanobis import LocalMahalanobis
from aiohooks.monitors.ood.scores.mahalanobis import Mahalanobis
from aiohooks.monitors.ood.scores.mahalanobis_unit import MahalanobisUnit
from aiohooks.monitors.ood.scores.msp import MSP
from aiohooks.monitors.ood.scores.nci import NCI
from aiohooks.monitors.ood.scores.nearest import Nearest
from aiohooks.monitors.ood.scores.nnguide import NNGuide
from aiohooks.monitors.ood.scores.relative_mahalanobis import RelativeMahalanobis
from aiohooks.monitors.ood.scores.relative_mahalanobis_unit import RelativeMahalanobisUnit
from aiohooks.monitors.ood.scores.scale import Scale
from aiohooks.monitors.ood.scores.score import Need, Score
from aiohooks.monitors.ood.scores.vim import ViM

SCORES: dict[str, type[Score]] = {
    "nearest": Nearest,
    "knn": KNN,
    "local_mahalanobis": LocalMahalanobis,
    "mahalanobis": Mahalanobis,
    "mahalanobis_unit": MahalanobisUnit,
    "relative_mahalanobis": RelativeMahalanobis,
    "relative_mahalanobis_unit": RelativeMahalanobisUnit,
    "discriminant": Discriminant,
    "entropy_distance": EntropyDistance,
    "length": Length,
    "msp": MSP,
    "energy": Energy,
    "energy_two_sided": EnergyTwoSided,
    "gen": GEN,
    "nnguide": NNGuide,
    "vim": ViM,
    "fdbd": FDBD,
    "nci": NCI,
    "scale": Scale,
    "cood": COOD,
}
"""By the names that `OODModel.fit_arrays` takes."""

DEFAULT = ("nearest", "knn", "local_mahalanobis", "mahalanobis_unit", "energy_two_sided")
"""Those that do well together; one of them needs logits."""

WITHOUT_LOGITS = (*DEFAULT[:-1], "length")
"""The same where there are no logits; without the last one the length of the features would count for nothing."""

WIDE = ("local_mahalanobis", "mahalanobis_unit", "discriminant", "energy_two_sided")
"""Those that do well together where there are fewer training pictures than numbers in a feature vector: all but the last of square roots."""

WIDE_WITHOUT_LOGITS = (*WIDE[:-1], "length")
"""The same where there are no logits."""

LESSER = {"length": 0.5}
"""Weights of those that count for less than the others by default."""

LESSER_OF_WIDE = {"length": 0.25, "energy_two_sided": 0.5}
"""The same of `WIDE`."""

__all__ = [
    "DEFAULT",
    "LESSER",
    "LESSER_OF_WIDE",
    "SCORES",
    "WIDE",
    "WIDE_WITHOUT_LOGITS",
    "WITHOUT_LOGITS",
    "Need",
    "Score",
]
