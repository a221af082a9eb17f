"""Which events of a baseline choose where to look, and which windows are compared with."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.covariance import Floats
from aiohooks.monitors.drift.event_arrays import EventArrays
from aiohooks.monitors.drift.training import share_seen

LEAST_EVENTS = 80
"""Of a baseline: windows of up to a quarter as many can be judged."""

LEAST_RUNS = 40
"""Of events that are drawn together."""

LEAST_WINDOWS = 200
"""Of each size: fewer do not tell what 5 % of them are."""

MOST_FITTED, MOST_COMPARED = 8000, 2000

_SEEN = 0.05


def whole(what: str, events: EventArrays) -> tuple[EventArrays, tuple[str, ...]]:
    """Return the events of which every number is finite, and what to say if there are others."""
    if events.probabilities is not None and not events.known().any():
        raise SpecError(
            f"probabilities: no event of {what} has any above 0; give those of the labels, or None for a model without"
        )
    whole = events.whole()
    if whole.all():
        return events, ()
    note = f"{np.count_nonzero(~whole):,} of {len(events):,} events of {what} have numbers that are not finite; they are left out"
    return events.take(np.flatnonzero(whole)), (note,)


def check_numbers(components: int, random_features: int, clusters: int | None, windows: int, seed: int) -> None:
    """Raise `SpecError` where a number is none, or out of its range."""
    given: tuple[tuple[str, object, int], ...] = (
        ("components", components, 1),
        ("random_features", random_features, 2),
        ("clusters", 2 if clusters is None else clusters, 2),
        ("windows", windows, LEAST_WINDOWS),
        ("seed", seed, 0),
    )
    for name, value, least in given:
        if not isinstance(value, int | np.integer) or value < least:
            raise SpecError(f"{name}={value!r}: it must be a whole number, at least {least}")
    if random_features % 2:
        raise SpecError(f"random_features={random_features}: it must be even, for they come as a cosine and a sine")


def check_count(count: int, least: int, what: str) -> None:
    """Raise `SpecError` where there are too few events."""
    if count < least:
        raise SpecError(
            f"{what} has {count:,} events, which say too little about what is usual; at least {least} are needed"
        )


def check_together(together: int, compared: int) -> None:
    """Raise `SpecError` where runs of so many events are too few."""
    if together < 1 or compared // together < LEAST_RUNS:
        raise SpecError(
            f"together={together}: at least {LEAST_RUNS} runs of so many events have to be compared with, "
            f"and there are {compared:,} events; take more, or say how many are really alike"
        )


def check_alike(where: EventArrays, compared: EventArrays) -> None:
    """Raise `SpecError` where two sets of events do not have the same numbers."""
    widths = [
        (
            one.features.shape[1],
            None if one.probabilities is None else one.probabilities.shape[1],
            sorted(one.image_stats),
        )
        for one in (where, compared)
    ]
    if widths[0] != widths[1]:
        raise SpecError(
            f"held_out: (features, labels, image statistics) are {widths[1]}, and those of the baseline {widths[0]}"
        )


def split(events: EventArrays, together: int, rng: np.random.Generator) -> tuple[EventArrays, EventArrays]:
    """Return two halves, at most as large as is of use; runs of events stay together and in order."""
    runs = rng.permutation(len(events) // together)
    compared = min(len(runs) - 2 * len(runs) // 5, max(MOST_COMPARED // together, LEAST_RUNS))
    which = (runs[:, None] * together + np.arange(together)).reshape(-1)
    one, other = which[: compared * together], which[compared * together :]
    return events.take(other[:MOST_FITTED]), events.take(one)


def some(count: int, together: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return which events to take of too many, in whole runs."""
    runs = rng.permutation(count // together)[: max(most // together, LEAST_RUNS)]
    return (runs[:, None] * together + np.arange(together)).reshape(-1)


def notes_on_training(features: Floats, training: ArrayLike) -> tuple[str, ...]:
    """Return what to say if features are those of training pictures."""
    share = share_seen(features, EventArrays.of(training).features)
    if share < _SEEN:
        return ()
    return (
        f"{share:.0%} of the baseline's events are of training pictures: a model treats those unlike any others, so that "
        "clean windows will look drifted; give others, or some of the stream as held_out",
    )
