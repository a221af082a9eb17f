"""What the hooks of a deployment did last, with the pictures that they have collected."""

from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

from aiohooks.hooks.actions.file_system import StoredFiles
from aiohooks.hooks.outcome import Outcome, OutcomeKind

MOST_OUTCOMES = 8
"""Of a hook."""

MOST_PICTURES = 6
"""Of a hook."""

MOST_HOOKS = 64
"""Of which pictures and outcomes are kept."""


class Collected:
    """Keeps the latest outcomes and small pictures of each hook.

    Attributes:
        pictures: JPEGs by number.
    """

    def __init__(self) -> None:
        self.pictures: OrderedDict[int, bytes] = OrderedDict()
        self._outcomes: dict[str, deque[dict[str, Any]]] = {}
        self._numbers: dict[str, deque[tuple[int, str]]] = {}
        self._waiting: dict[str, tuple[str, Path]] = {}
        self._count = 0

    def add(self, outcomes: list[Outcome]) -> None:
        """Take note of outcomes; of each hook the picture that was collected last waits to be made small."""
        for outcome in outcomes:
            if outcome.hook not in self._outcomes:
                if len(self._outcomes) >= MOST_HOOKS:
                    continue
                self._outcomes[outcome.hook] = deque(maxlen=MOST_OUTCOMES)
            if outcome.kind is not OutcomeKind.RATE_LIMITED:  # there may be one for every frame
                self._outcomes[outcome.hook].append(_told(outcome))
            stored = outcome.value
            if isinstance(stored, StoredFiles):
                place = stored.overlay or stored.image
                self._waiting[outcome.hook] = (outcome.frame_name or f"frame {outcome.frame_index}", Path(place))

    def next_file(self) -> tuple[str, str, Path] | None:
        """Return hook, name and file of a picture that waits, and forget it; None if none does."""
        for hook in self._waiting:
            name, path = self._waiting.pop(hook)
            return hook, name, path
        return None

    def keep(self, hook: str, name: str, picture: bytes) -> None:
        """Keep a small picture; the oldest of its hook goes."""
        self._count += 1
        numbers = self._numbers.setdefault(hook, deque())
        numbers.append((self._count, name))
        self.pictures[self._count] = picture
        if len(numbers) > MOST_PICTURES:
            del self.pictures[numbers.popleft()[0]]

    def outcomes_of(self, hook: str) -> list[dict[str, Any]]:
        """Return the outcomes of a hook, the latest first."""
        return list(self._outcomes.get(hook, ()))[::-1]

    def pictures_of(self, hook: str) -> list[dict[str, Any]]:
        """Return numbers and names of the pictures of a hook, the latest first."""
        return [{"number": number, "name": name} for number, name in reversed(self._numbers.get(hook, ()))]


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.kind.value,
        "frame": outcome.frame_name or f"frame {outcome.frame_index}",
        "score": None if outcome.score is None else round(outcome.score, 4),
        "ms": round(1000 * outcome.seconds, 1),
        "error": None if outcome.error is None else str(outcome.error)[:200],
    }
