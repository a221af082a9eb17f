"""What it takes to score with a model: time and memory."""

import time
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from aiohooks.monitors.ood.batch import Batch
from aiohooks.monitors.ood.fitted import Fitted, Kept


def seconds_of(parts: Fitted, one: Batch) -> float:
    """Return the time to score one frame."""
    start = time.perf_counter()
    parts.survival.log_p(parts.strangeness(Batch(one.features, one.rows)))
    return time.perf_counter() - start


def nbytes_of(parts: Fitted) -> int:
    """Return the memory of what scores, without what is kept to be combined."""
    seen: dict[int, int] = {}

    def visit(part: Any) -> None:
        if isinstance(part, np.ndarray):
            seen[id(part)] = part.nbytes
        elif isinstance(part, tuple):
            for each in part:
                visit(each)
        elif is_dataclass(part) and not isinstance(part, Kept):
            for field in fields(part):
                visit(getattr(part, field.name))

    visit(parts)
    return sum(seen.values()) + (0 if parts.glance is None else parts.glance.nbytes)
