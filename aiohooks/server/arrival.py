"""By when a body has to have come."""

from collections.abc import Awaitable
from typing import TypeVar

import anyio

from aiohooks.server.refusal import Refusal

T = TypeVar("T")


class Arrival:
    """The time that a body, or a part of it, has from now on.

    A client that sends a byte now and then keeps to any limit of the time between two of them: there is one for the whole too.

    Args:
        seconds: for all of it; None for as long as it takes.
        patience: seconds in which nothing may come; by default there is no such limit.
        rate: bytes a second that have to come on average, after the first ``patience`` seconds; by default any.
    """

    def __init__(self, seconds: float | None, *, patience: float | None = None, rate: int | None = None) -> None:
        self._began = anyio.current_time()
        self._seconds = seconds
        self._patience = patience
        self._rate = rate
        self._bytes = 0

    def came(self, count: int) -> None:
        """Count bytes that have come."""
        self._bytes += count

    async def wait(self, reading: Awaitable[T]) -> T:
        """Await more of the body.

        Raises:
            Refusal: 408, it does not come in time.
        """
        try:
            with anyio.fail_after(self._deadline() - anyio.current_time()):
                return await reading
        except TimeoutError:
            seconds = anyio.current_time() - self._began
            raise Refusal(408, f"the body comes too slowly: {self._bytes} bytes of it in {seconds:.3g} s") from None

    def _deadline(self) -> float:
        deadline = float("inf")
        if self._seconds is not None:
            deadline = self._began + self._seconds
        if self._patience is not None:
            deadline = min(deadline, anyio.current_time() + self._patience)
            if self._rate is not None:
                deadline = min(deadline, self._began + self._patience + self._bytes / self._rate)
        return deadline
