"""Why a frame looks strange."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasureExplanation:
    """What one measure says of a frame.

    Attributes:
        name: of the measure, such as ``"knn"``.
        value: in its own unit; higher is stranger.
        p_value: share of in-distribution pictures that are at least as strange by this measure, in (0, 1].
    """

    name: str
    value: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training picture that is near a frame.

    Attributes:
        name: as given when the model was fitted, such as its path; None if none was given.
        index: of the picture among those that the model was fitted on.
        distance: between the features, each scaled to length 1: from 0 to 2.
    """

    name: str | None
    index: int
    distance: float


@dataclass(frozen=True, slots=True)
class OODExplanation:
    """Why a frame has its score.

    Attributes:
        score: as `OODModel.score`.
        p_value: as `OODModel.p_value`.
        measures: what each measure says, the one that says most first.
        neighbours: the training pictures that are nearest, the nearest first.
    """

    score: float
    p_value: float
    measures: tuple[MeasureExplanation, ...]
    neighbours: tuple[Neighbour, ...]

    @property
    def strongest(self) -> MeasureExplanation:
        """The measure that says most."""
        return self.measures[0]
