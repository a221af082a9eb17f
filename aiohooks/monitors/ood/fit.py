"""What `OODModel.fit` fits on: features, logits and names of pictures, inferred by a deployment."""

import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks import sources
from aiohooks.deployment import Deployment
from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.hooks.background import check_cancelled
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.collect import Collected, check_features, collect, source_of
from aiohooks.monitors.ood.corruptions import Corrupted, known_corruptions
from aiohooks.monitors.ood.logits import explains, logits_of
from aiohooks.monitors.ood.splitting import blocks
from aiohooks.monitors.progress import Progress, shown
from aiohooks.one_thread import OneThread
from aiohooks.sources import Pictures

T = TypeVar("T")

MOST_CORRUPTED = 1000
"""Pictures that are made out of distribution, at most."""

_COMPARED = 16
_SECONDS_BETWEEN_STEPS = 0.1


async def training_arrays(
    deployment: Deployment,
    in_distribution: Pictures,
    *,
    calibration: Pictures | None = None,
    out_of_distribution: Pictures | None = None,
    corruptions: bool | Sequence[str] | None = None,
    class_of: Callable[[Frame], Hashable] | None = None,
    group_of: Callable[[Frame], Hashable] | None = None,
    progress: bool | Progress | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the arguments of `OODModel.fit_arrays` for pictures; for the arguments see `OODModel.fit`.

    Raises:
        SpecError: the deployment gives no features, there are no pictures, or they cannot be read twice to be corrupted.
    """
    kinds = known_corruptions(corruptions)
    if kinds and isinstance(in_distribution, (AsyncIterator, Iterator)):
        raise SpecError(
            "corruptions: these pictures can be read only once, and are needed twice: pass a source such as ah.folder(…), or a list"
        )
    check_features(deployment.name, deployment.describe().feature_width)
    layer = await deployment.last_layer()
    gather = partial(collect, deployment, keeps_scores=layer is not None)
    with shown(progress) as show:
        ours = await gather(
            in_distribution, what="in distribution", progress=show, class_of=class_of, group_of=group_of
        )
        apart = None if calibration is None else await gather(calibration, what="calibration", progress=show)
        strange = []
        if out_of_distribution is not None:
            strange.append(await gather(out_of_distribution, what="out of distribution", progress=show))
        if kinds:
            frames = sources.frames(source_of(in_distribution), max_pixels=deployment.max_pixels)
            every = -(-len(ours.names) // MOST_CORRUPTED)
            made = Corrupted(frames, kinds, every=every, seed=seed)
            strange.append(await gather(made, what="corrupted", progress=show))
    arrays = await anyio.to_thread.run_sync(_arguments, layer, ours, apart, strange)
    if arrays["groups"] is None and sources.is_successive(source_of(in_distribution)):
        arrays["groups"] = blocks(len(ours.names))
    return arrays


async def fitted_in_thread(fitted: Callable[[Progress], T], progress: bool | Progress | None) -> T:
    """Return what is fitted in a thread, which ends soon after the caller is cancelled, and is waited for.

    Args:
        fitted: gets the progress to tell, at least every second or so.
        progress: as in `OODModel.fit`.
    """
    with shown(progress) as show:
        due = 0.0

        def step(what: str, done: int, total: int) -> None:
            nonlocal due
            check_cancelled()
            if (now := time.monotonic()) >= due:
                due = now + _SECONDS_BETWEEN_STEPS
                show(what, done, total)

        thread = OneThread("aiohooks OOD fit")
        try:
            return await thread.run(fitted, step)
        finally:
            await thread.aclose()


def _arguments(
    layer: LastLayer | None, ours: Collected, apart: Collected | None, strange: Sequence[Collected]
) -> dict[str, Any]:
    if layer is not None and not _fits(layer, ours):
        layer = None
    given: dict[str, Any] = {
        "features": ours.features,
        "logits": _logits(layer, ours),
        "labels": ours.classes,
        "names": ours.names,
        "class_names": ours.class_names,
        "groups": ours.groups,
        "last_layer": layer,
    }
    if apart is not None:
        given["calibration"] = (apart.features, _logits(layer, apart))
    if strange:
        features = np.concatenate([one.features for one in strange])
        logits = None if layer is None else np.concatenate([_logits(layer, one) for one in strange])
        given["out_of_distribution"] = (features, logits)
    return given


def _fits(layer: LastLayer, ours: Collected) -> bool:
    """Tell whether the layer that was found in the graph is that of these features, by what it makes of some of them."""
    if ours.class_scores is None:
        return False
    chosen = np.linspace(0, len(ours.names) - 1, min(_COMPARED, len(ours.names))).astype(int)
    return explains(layer, ours.features[chosen], ours.class_scores[chosen])


def _logits(layer: LastLayer | None, collected: Collected) -> NDArray[np.float32] | None:
    if layer is None:
        return None
    scores = collected.class_scores
    assert scores is not None  # where one picture has them, all have
    for i, row in enumerate(collected.features):
        scores[i] = logits_of(layer, row, scores[i])  # in their place
    return scores
