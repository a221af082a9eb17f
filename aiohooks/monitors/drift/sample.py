"""Some events of a baseline one by one, to show them beside those of a window."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.thumbnail import SIDE, jpeg_of, small
from aiohooks.prediction import Prediction

MOST_POSITIONS, MOST_PICTURES = 400, 24

MOST_PICTURE_BYTES = 64 * 1024
"""Of each; as many as one that comes with an event."""


class BaselineSample(NamedTuple):
    """What is kept of some events.

    Attributes:
        positions: float32 (S, k), along the principal directions, in the units of the features.
        pictures: files that a browser shows, such as JPEGs; not of the same events.
    """

    positions: NDArray[np.float32]
    pictures: tuple[bytes, ...]

    @classmethod
    def of(cls, positions: Floats, pictures: Sequence[bytes] = ()) -> Self:
        """Take some of the events, evenly; a baseline's are in random order, and so should the pictures be.

        Raises:
            SpecError: a picture is larger than `MOST_PICTURE_BYTES`.
        """
        largest = max(map(len, pictures[:MOST_PICTURES]), default=0)
        if largest > MOST_PICTURE_BYTES:
            raise SpecError(
                f"examples: a picture has {largest:,} bytes; make them small, of at most {MOST_PICTURE_BYTES:,}"
            )
        return cls(positions[:MOST_POSITIONS].astype(np.float32), tuple(pictures[:MOST_PICTURES]))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return it as arrays of numbers."""
        return {
            "sample_positions": self.positions,
            "sample_pictures": np.frombuffer(b"".join(self.pictures), np.uint8),
            "sample_sizes": np.array([len(picture) for picture in self.pictures], np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: "dict[str, NDArray[np.generic]]") -> Self:
        """Return what `arrays` was made of.

        Raises:
            KeyError: an array is missing.
        """
        data = arrays["sample_pictures"].tobytes()
        ends = np.cumsum(arrays["sample_sizes"].astype(np.int64)).tolist()
        pictures = tuple(data[start:end] for start, end in zip([0, *ends], ends, strict=False))
        return cls(arrays["sample_positions"].astype(np.float32), pictures)


class PictureDraw:
    """Keeps small pictures of frames as they pass, spread evenly over as many as there are, in bounded memory."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, NDArray[np.uint8]]] = []
        self._seen = 0
        self._every = 1

    def see(self, frame: Frame, _prediction: Prediction) -> None:
        """Look at a frame."""
        if self._seen % self._every == 0:
            # Every n-th pixel: quick enough for the event loop, unlike making it small.
            step = max(1, max(frame.image.shape[:2]) // (2 * SIDE))
            self._kept.append((self._seen, frame.image[::step, ::step].copy()))
            if len(self._kept) > 2 * MOST_PICTURES:
                self._every *= 2
                self._kept = [pair for pair in self._kept if pair[0] % self._every == 0]
        self._seen += 1

    def pictures(self) -> list[bytes]:
        """Return JPEGs. Blocks."""
        chosen = np.linspace(0, len(self._kept) - 1, min(MOST_PICTURES, len(self._kept))).astype(int)
        return [jpeg_of(small(self._kept[index][1])) for index in chosen]
