"""Objects in place of pictures: what a detector found, cut out, for a network that looks at each."""

from collections import deque
from dataclasses import replace
from typing import Any, Self

from aiohooks import sources
from aiohooks.deployment import Deployment
from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.inference.crops import crops
from aiohooks.inference.result import Result
from aiohooks.monitors.ood.collect import source_of
from aiohooks.prediction import Task
from aiohooks.sources import FrameSource, Pictures

_WHOLE_PICTURES = frozenset({Task.CLASSIFICATION, Task.ANOMALY})


def object_crops(detector: Deployment, pictures: Pictures) -> FrameSource:
    """Return every object that a detector finds in pictures, cut out of them: a source for another deployment.

    The upright box around an object is cut out. A crop is named after its picture and its number in it, ``line1.jpg #2``, and its index is
    its position among all crops. Pictures in which nothing is found, or that cannot be read, give none. Hooks and monitors of the detector do not
    see them.

    Args:
        detector: finds objects; it must be open when the crops are read.
        pictures: anything that `Deployment.stream` takes; a folder is read with its subfolders.

    Raises:
        SpecError: when the crops are read: the deployment labels whole pictures, and finds nothing in them.
    """
    source = source_of(pictures)
    name = f"objects of {getattr(source, 'name', 'pictures')}"
    return FrameSource(name, lambda _: _Crops(detector, source), successive=sources.is_successive(source))


class _Crops:
    def __init__(self, detector: Deployment, pictures: Any) -> None:
        if detector.describe().task in _WHOLE_PICTURES:
            raise SpecError(
                f"{detector.name} labels whole pictures: object_crops takes a deployment that finds objects in them"
            )
        self._stream = detector.stream(pictures, hooks=False)
        self._ready: deque[Frame] = deque()
        self._count = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while not self._ready:
            result = await anext(self._stream)
            if result.error is None:
                self._ready.extend(self._cut(result))
        return self._ready.popleft()

    def _cut(self, result: Result) -> list[Frame]:
        frame = result.frame
        found = []
        for number, crop in enumerate(crops(result.prediction), 1):
            name = f"{frame.name or f'picture {frame.index}'} #{number}"
            pixels = crop.of(frame).image.copy()
            found.append(replace(frame, image=pixels, name=name, index=self._count, encoded=None, owned=True))
            self._count += 1
        return found

    async def aclose(self) -> None:
        """Close the stream through the detector."""
        await self._stream.aclose()
