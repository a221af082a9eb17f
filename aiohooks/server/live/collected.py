"""What the hooks of a deployment did last, with the pictures that they have collected."""

import secrets
from collections import OrderedDict, deque
from collections.abc import Collection
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
        seconds: when the last one was made small, in the clock of `anyio.current_time`.
    """

    def __init__(self) -> None:
        self.pictures: OrderedDict[int, bytes] = OrderedDict()
        self.seconds = 0.0
        self._outcomes: dict[str, deque[dict[str, Any]]] = {}
        self._numbers: dict[str, deque[tuple[int, str]]] = {}
        self._waiting: dict[str, tuple[str, Path]] = {}
        # Browsers keep pictures by their numbers: those of an earlier run of the server must be others.
        self._count = secrets.randbelow(900_000_000)

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

    def forget_others(self, hooks: Collection[str]) -> None:
        """Forget the hooks that are not among these."""
        for hook in self._outcomes.keys() - hooks:
            del self._outcomes[hook]
            self._waiting.pop(hook, None)
            for number, _ in self._numbers.pop(hook, ()):
                del self.pictures[number]

    @property
    def waits(self) -> bool:
        """Whether there is a picture that waits to be made small."""
        return bool(self._waiting)

    def next_file(self) -> tuple[str, str, Path]:
        """Return hook, name and file of a picture, one of which must wait, and forget it."""
        hook = next(iter(self._waiting))
        return hook, *self._waiting.pop(hook)

    def keep(self, hook: str, name: str, picture: bytes) -> None:
        """Keep a small picture; the oldest of its hook goes."""
        if hook not in self._outcomes:  # it was taken away meanwhile
            return
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
