"""Between a hook and its action, if nothing may be lost: a store, and a worker that delivers from it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import anyio
import msgspec

from aiohooks.delivery.delivery import Delivery
from aiohooks.delivery.item import Item, Status, Store
from aiohooks.delivery.pace import Pace
from aiohooks.delivery.worker import Delivered, DeliveryCounts, DeliveryWorker
from aiohooks.errors import DeliveryError
from aiohooks.hooks import background
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.event_bytes import decode_event, encode_event, is_quickly_decoded, is_quickly_encoded

Act = Callable[[HookEvent], Any]


class Spooled(msgspec.Struct, frozen=True):
    """An event that a store has accepted: it will be delivered.

    Attributes:
        key: the same for all attempts to deliver it.
    """

    key: str


class HookDelivery:
    """Stores the events of a hook, and lets its action deliver them from the store.

    Args:
        name: of the hook.
        delivery: how.
        action: of the hook.
        call: calls the action, or what its ``lifespan`` gives, with an event.
        ended: told how each delivery ended.
    """

    def __init__(
        self,
        name: str,
        delivery: Delivery,
        action: Any,
        call: Callable[[Act, HookEvent], Awaitable[Any]],
        ended: Callable[[Delivered], None],
    ) -> None:
        self._name = name
        self._delivery = delivery
        self._action = action
        self._call = call
        self._ended = ended
        self._store: Store | None = None
        self._worker: DeliveryWorker | None = None
        self._last: Status | None = None
        self._problem: Exception | None = None
        self._settled = anyio.Event()  # the store is open, or never will be

    def __repr__(self) -> str:
        return f"HookDelivery({self._delivery.spool!r}, circuit {self.circuit}, {self.counts})"

    @property
    def counts(self) -> DeliveryCounts:
        """What was attempted since the hook started, and what came of it."""
        return self._worker.counts if self._worker is not None else DeliveryCounts()

    @property
    def circuit(self) -> Literal["closed", "open", "half_open"]:
        """``closed`` while the sink works, ``open`` while it is left alone, ``half_open`` while one attempt probes it."""
        return self._worker.circuit if self._worker is not None else "closed"

    async def status(self) -> Status:
        """Say what the store holds; once the hook has closed, what was left then.

        Raises:
            DeliveryError: the store could not be opened.
        """
        if self._last is not None:
            return self._last
        await self._settled.wait()
        if self._store is None:
            raise DeliveryError(f"hook {self._name}: its store could not be opened: {self._problem}")
        return await self._store.status()

    async def replay(self) -> int:
        """Make the store's dead letters ready to be delivered again, and return how many.

        Raises:
            DeliveryError: the store is not open, cannot replay, or has no room.
        """
        await self._settled.wait()
        replay = getattr(self._store, "replay", None)
        if replay is None or self._last is not None:
            raise DeliveryError(f"hook {self._name}: its store is closed, or is one that cannot replay")
        replayed: int = await replay()
        return replayed

    async def drained(self) -> None:
        """Wait until everything is delivered or given up; while the sink is down, this does not return.

        Where delivering is left to others (``max_concurrency=0``), it returns at once.
        """
        await self._settled.wait()
        if self._worker is not None:
            await self._worker.drained()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Callable[[HookEvent], Awaitable[Spooled | None]]]:
        """Hold the store, the action's resources and the worker; entering it gives the function that accepts an event."""
        how = self._delivery
        try:
            async with background.threads() as threads, how.spool.open() as store, self._acting() as act:
                if how.max_concurrency:
                    self._worker = self._worker_for(store, act)
                self._store = store
                self._settled.set()
                async with anyio.create_task_group() as working:
                    if self._worker is not None:
                        working.start_soon(self._worker.run)
                    try:
                        yield partial(self._accept, store, threads.heavy)
                    finally:
                        working.cancel_scope.cancel()
                self._last = await store.status()
        except Exception as error:
            self._problem = error.with_traceback(None)
            raise
        finally:
            self._settled.set()

    def _worker_for(self, store: Store, act: Act) -> DeliveryWorker:
        how = self._delivery
        return DeliveryWorker(
            f"hook {self._name}",
            store,
            partial(self._deliver, act),
            max_concurrency=how.max_concurrency,
            rate=how.rate,
            pace=Pace(how.busy_rate) if how.busy_rate is not None else None,
            ordered=how.ordered,
            timeout=how.timeout,
            backoff=how.backoff,
            ended=self._ended,
        )

    def _acting(self) -> AbstractAsyncContextManager[Act]:
        # What the store holds can wait, while inference cannot.
        background.expendable.set(True)
        lifespan = getattr(self._action, "lifespan", None)
        return nullcontext(self._action) if lifespan is None else lifespan()

    async def _accept(self, store: Store, run: background.Run, event: HookEvent) -> Spooled | None:
        """Have the store accept an event; None if it is full and drops."""
        data = encode_event(event) if is_quickly_encoded(event) else await run(encode_event, event)
        item = Item.new(data, source=event.frame.name)
        return Spooled(item.key) if await store.put(item) else None

    async def _deliver(self, act: Act, item: Item, _attempt: int) -> Any:
        decode = partial(decode_event, item.payload, key=item.key)
        event = decode() if is_quickly_decoded(item.payload) else await background.in_worker_thread(decode)
        return await self._call(act, event)
