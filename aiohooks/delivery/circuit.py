"""When to stop trying a sink that is down: the decisions of a circuit breaker, without the waiting."""

import math
from typing import Literal

from aiohooks.backoff import Backoff

FAILURES = 5
"""Failures in a row that open a circuit."""

MOST_SECONDS = 86_400.0
"""The longest pause that a sink may ask for: a day. What asks for more asks by mistake."""


class Circuit:
    """Closed while a sink works, open while nothing is attempted, half open while one attempt probes it.

    Any success closes it. Failures in a row open it, as does a failure with which the sink asks for a pause; after the pause it lets
    one attempt through, and whether that succeeds decides. Pauses grow as long as probes fail (M. Nygard, Release It!, "Circuit
    Breaker").

    Args:
        backoff: the pauses.
        failures: in a row, that open it.
    """

    def __init__(self, backoff: Backoff, *, failures: int = FAILURES) -> None:
        self._backoff = backoff
        self._most_failures = failures
        self._failures = 0
        self._openings = 0  # since the last success
        self._epoch = 0  # openings ever: an attempt that began before the last one says nothing about now
        self._closes_at: float | None = None
        self._is_probing = False

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """Its state."""
        if self._closes_at is None:
            return "closed"
        return "half_open" if self._is_probing else "open"

    def wait(self, now: float) -> float:
        """Return the seconds until an attempt may begin: 0 if now, infinite while a probe is under way.

        Args:
            now: monotonic time in seconds.
        """
        if self._closes_at is None:
            return 0.0
        return math.inf if self._is_probing else max(0.0, self._closes_at - now)

    def begin(self, now: float) -> int:
        """Begin an attempt, once `wait` is 0; return its number, for `failed` and `abandoned`."""
        assert self.wait(now) == 0.0
        self._is_probing = self._closes_at is not None
        return self._epoch

    def succeeded(self) -> None:
        """Note that the sink has answered."""
        self._failures = self._openings = 0
        self._closes_at = None
        self._is_probing = False

    def failed(self, attempt: int, now: float, *, jitter: float, at_least: float = 0.0) -> None:
        """Note that an attempt has failed, and that the sink may be the cause.

        Args:
            attempt: what `begin` returned.
            now: monotonic time in seconds.
            jitter: random, in 0–1.
            at_least: seconds that the sink asks to wait.
        """
        if attempt != self._epoch:
            return
        self._failures += 1
        if self._failures < self._most_failures and not self._is_probing and at_least <= 0:
            return
        pause = max(self._backoff.seconds(self._openings, jitter), min(at_least, MOST_SECONDS))
        self._closes_at = now + pause
        self._is_probing = False
        self._openings += 1
        self._epoch += 1

    def abandoned(self, attempt: int) -> None:
        """Note that an attempt was given up and says nothing about the sink: the next one may probe it."""
        if attempt == self._epoch:
            self._is_probing = False
