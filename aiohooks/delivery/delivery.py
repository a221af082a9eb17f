"""How the content of a store is delivered."""

import math
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Protocol, runtime_checkable

import msgspec
from msgspec import Meta

from aiohooks.backoff import Backoff
from aiohooks.delivery.item import Store
from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.rate import Rate

Seconds = Annotated[float, Meta(gt=0)]


@runtime_checkable
class StoreSettings(Protocol):
    """What describes a store and opens it, such as `Spool`."""

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open the store for as long as the context lasts."""
        ...


class Delivery(msgspec.Struct, frozen=True):
    """How the content of a store is delivered.

    Attributes:
        spool: the store, such as ``Spool("folder")``.
        max_concurrency: attempts at once; with 0, events are only stored, and others deliver them (see `aiohooks.deliver`).
        rate: of attempts; None for no limit.
        ordered: frames of the same name are delivered one after the other, in the order in which the store accepted them. One that
            keeps failing holds up those after it.
        timeout: seconds after which an attempt is given up, to be made again.
        first_backoff: seconds before the second attempt, at most; each further pause is up to twice as long.
        longest_backoff: seconds between two attempts, at most, unless the server asks for more.
        busy_rate: of attempts while inference keeps the processors of this machine busy and the store is less than half full, so that
            delivery, which can wait, does not slow inference down; None for no such limit.

    Raises:
        SpecError: a value is out of its range.
    """

    spool: Any
    max_concurrency: Annotated[int, Meta(ge=0)] = 4
    rate: Rate | None = None
    ordered: bool = False
    timeout: Seconds = 60.0
    first_backoff: Seconds = 0.5
    longest_backoff: Seconds = 60.0
    busy_rate: Rate | None = Rate(10)

    def __post_init__(self) -> None:
        if isinstance(self.spool, type) or not isinstance(self.spool, StoreSettings):
            raise SpecError(f'Delivery.spool: it must be a store such as Spool("folder"), got {self.spool!r}')
        check_fields(self)
        for field in ("timeout", "first_backoff", "longest_backoff"):
            if not math.isfinite(getattr(self, field)):
                raise SpecError(f"Delivery.{field}: it must be finite")
        if self.longest_backoff < self.first_backoff:
            raise SpecError("Delivery.longest_backoff: it must not be shorter than first_backoff")

    @property
    def backoff(self) -> Backoff:
        """The pauses between attempts."""
        return Backoff(self.first_backoff, self.longest_backoff)


def delivery_of(value: object) -> Delivery:
    """Return a delivery as it is; for a store, a delivery from it with default settings.

    Raises:
        SpecError: it is neither.
    """
    return value if isinstance(value, Delivery) else Delivery(value)
