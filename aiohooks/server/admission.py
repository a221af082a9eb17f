"""So many requests run at once, so many more wait, and the others are told when to come back."""

import asyncio
from collections import Counter

from aiohooks.server.refusal import Refusal

LONGEST_RETRY_SECONDS = 60.0
"""A client is never told to wait longer than this."""

CLOSED_RETRY_SECONDS = 5.0
"""After this, another server may have taken over."""


class Admission:
    """Places for requests, given in the order in which they ask.

    Args:
        running: places.
        waiting: requests that may wait for one.
        per_client: places and waiting requests that one client may have; None for no limit of its own.
    """

    def __init__(self, *, running: int, waiting: int, per_client: int | None = None) -> None:
        self._places = running
        self._room = waiting
        self._per_client = per_client
        self._running = 0
        self._line: dict[asyncio.Future[None], None] = {}  # in order
        self._clients: Counter[str] = Counter()
        self._seconds = 0.0  # that a place is held, a moving average
        self._closed_because = ""

    @property
    def places(self) -> int:
        """Requests that may hold a place at once."""
        return self._places

    @property
    def room(self) -> int:
        """Requests that may wait for a place."""
        return self._room

    def resize(self, *, places: int | None = None, room: int | None = None) -> None:
        """Have other bounds from now on; those that are in stay.

        Args:
            places: at least 1.
            room: at least 0.
        """
        self._places = self._places if places is None else places
        self._room = self._room if room is None else room
        while self._running < self._places and self._line:
            self._running += 1
            self._pass_on()

    @property
    def running(self) -> int:
        """Requests that hold a place."""
        return self._running

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._line)

    @property
    def retry_after(self) -> float:
        """Seconds in which those that wait now will probably be through."""
        return min(LONGEST_RETRY_SECONDS, self._seconds * (1 + len(self._line) / self._places))

    def close(self, reason: str) -> None:
        """Refuse all that come from now on, for this reason; those that wait get their places."""
        self._closed_because = reason

    def check(self, client: str = "") -> None:
        """Raise what `enter` would raise at once.

        Raises:
            Refusal: 503, all places are taken and enough wait, or it is closed; 429, the client has enough of them.
        """
        if self._closed_because:
            raise Refusal(503, self._closed_because, retry_after=CLOSED_RETRY_SECONDS)
        if self._per_client is not None and self._clients[client] >= self._per_client:
            message = f"this client has {self._per_client} requests under way, more than that are not taken at once"
            raise Refusal(429, message, retry_after=self.retry_after)
        if self._running >= self._places and len(self._line) >= self._room:
            message = f"{self._running} requests run and {len(self._line)} wait, which is all there is room for"
            raise Refusal(503, message, retry_after=self.retry_after)

    async def enter(self, client: str = "") -> None:
        """Wait for a place; whoever got one gives it back with `leave`.

        Raises:
            Refusal: as `check`.
        """
        self.check(client)
        if self._per_client is not None:
            self._clients[client] += 1
        if self._running < self._places:  # then nobody waits
            self._running += 1
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[called] = None
        try:
            await called
        except asyncio.CancelledError:
            self._forget(client)
            self._line.pop(called, None)
            if not called.cancelled():  # it was called at the same time: the place goes on to the next
                self._pass_on()
            raise

    def leave(self, client: str = "", seconds: float = 0.0) -> None:
        """Give a place back that was held for so many seconds."""
        self._seconds += (seconds - self._seconds) / 16
        self._forget(client)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._line and self._running <= self._places:
            called = next(iter(self._line))
            del self._line[called]
            if not called.done():
                called.set_result(None)
                return
        self._running -= 1

    def _forget(self, client: str) -> None:
        if self._per_client is not None:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
