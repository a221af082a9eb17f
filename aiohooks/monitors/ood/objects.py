"""Objects in place of pictures: what a detector found, cut out, for a network that looks at each."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from aiohooks.deployment import Deployment
from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.inference.crops import crops
from aiohooks.monitors.ood.collect import source_of
from aiohooks.prediction import Task
from aiohooks.sources import Pictures

_WHOLE_PICTURES = frozenset({Task.CLASSIFICATION, Task.ANOMALY})


async def object_crops(detector: Deployment, pictures: Pictures) -> AsyncGenerator[Frame, None]:
    """Yield every object that a detector finds in pictures, cut out of them: a source for another deployment.

    The upright box around an object is cut out. A crop is named after its picture and its number in it, ``line1.jpg #2``, and its index is
    its position among all crops. Pictures in which nothing is found, or that cannot be read, give none. Hooks and monitors of the detector do not
    see them.

    Args:
        detector: open; it finds objects.
        pictures: anything that `Deployment.stream` takes; a folder is read with its subfolders.

    Raises:
        SpecError: the deployment labels whole pictures, and finds nothing in them.
    """
    if detector.describe().task in _WHOLE_PICTURES:
        raise SpecError(
            f"{detector.name} labels whole pictures: object_crops takes a deployment that finds objects in them"
        )
    count = 0
    async with detector.stream(source_of(pictures), hooks=False) as results:
        async for result in results:
            if result.error is not None:
                continue
            frame = result.frame
            for number, crop in enumerate(crops(result.prediction), 1):
                pixels = crop.of(frame).image.copy()
                name = f"{frame.name or f'picture {frame.index}'} #{number}"
                yield replace(frame, image=pixels, name=name, index=count, encoded=None, owned=True)
                count += 1
