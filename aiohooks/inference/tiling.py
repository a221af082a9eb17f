"""Pictures in tiles: which tiles there are, and what is needed to make one prediction of what is found in them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import msgspec
from numpy.typing import NDArray

from aiohooks.prediction import Prediction


class Tile(NamedTuple):
    """A rectangle of a picture, in pixels; ``x2`` and ``y2`` are outside."""

    x1: int
    y1: int
    x2: int
    y2: int

    def __str__(self) -> str:
        return f"tile x {self.x1}–{self.x2}, y {self.y1}–{self.y2}"

    def cut_from(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the tile's pixels, as a view."""
        return image[self.y1 : self.y2, self.x1 : self.x2]


class Tiling(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures are tiled, in the words of Model API.

    Attributes:
        tile_size: height and width of a tile in pixels.
        tiles_overlap: share of a tile, from 0 to below 1, that its neighbour repeats.
        tile_with_full_img: whether the whole picture is inferred too, as if it were the first tile.
        max_pred_number: objects per picture at most, those with the highest scores; 0 for no limit. Pixels have no such limit.
        iou_threshold: of two objects of one label that overlap by more, only that with the higher score is kept.
    """

    tile_size: int
    tiles_overlap: float = 0.5
    tile_with_full_img: bool = True
    max_pred_number: int = 100
    iou_threshold: float = 0.45

    @property
    def step(self) -> int:
        """Pixels from one tile to the next; at least 1 if the overlap makes sense."""
        return int(self.tile_size * (1 - self.tiles_overlap))

    def tiles(self, height: int, width: int) -> Iterator[Tile]:
        """Yield the tiles of a picture: the whole picture if it is one of them, then column by column from the left.

        Those at the right and at the bottom are cut off at the border, as Model API does it.
        """
        if self.tile_with_full_img:
            yield Tile(0, 0, width, height)
        for x in range(0, width, self.step):
            for y in range(0, height, self.step):
                yield Tile(x, y, min(x + self.tile_size, width), min(y + self.tile_size, height))


class Merge(Protocol):
    """Makes one prediction of what was found in the tiles of one picture."""

    @property
    def adds_quickly(self) -> bool:
        """Whether `add` costs next to nothing, so that it may run on the event loop."""

    def add(self, tile: Tile, found: Any) -> None:
        """Take in what was found in a tile; tiles come in the order of `Tiling.tiles`."""

    def finish(self) -> Prediction:
        """Return the prediction, once all tiles have come."""


@dataclass(frozen=True, slots=True, eq=False)
class Tiled:
    """What runs a model on tiles.

    Attributes:
        tiling: which tiles.
        decode: from the outputs in the model's order, and what preprocessing noted, to what was found in a tile.
        merge: begins a picture of this height and width.
    """

    tiling: Tiling
    decode: Callable[[tuple[NDArray[Any], ...], dict[str, Any]], Any]
    merge: Callable[[tuple[int, int]], Merge]

    def then(self, change: Callable[[Prediction], Prediction]) -> "Tiled":
        """Return the same with something done to every prediction, at the end."""
        return replace(self, merge=lambda size: _Changed(self.merge(size), change))


class _Changed(NamedTuple):
    merge: Merge
    change: Callable[[Prediction], Prediction]

    @property
    def adds_quickly(self) -> bool:
        return self.merge.adds_quickly

    def add(self, tile: Tile, found: Any) -> None:
        self.merge.add(tile, found)

    def finish(self) -> Prediction:
        return self.change(self.merge.finish())
