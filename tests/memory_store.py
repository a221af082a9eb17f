"""A store that keeps its items in memory, and notes how each was settled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from aiohooks.delivery.item import Item, Lease, Status


@dataclass
class MemoryLease:
    item: Item
    attempt: int
    number: int


@dataclass
class MemoryStore:
    """Hands out the oldest that is due. ``fail`` names a method that raises; ``keeps_order``: whether `lease` can."""

    waiting: dict[int, tuple[float, MemoryLease]] = field(default_factory=dict)
    leased: dict[int, MemoryLease] = field(default_factory=dict)
    delivered: list[Item] = field(default_factory=list)
    dead: list[tuple[Item, str]] = field(default_factory=list)
    nacked: list[tuple[Item, float, str]] = field(default_factory=list)
    accepts: bool = True
    keeps_order: bool = False
    filled: float | None = None
    fail: str = ""
    accepted: int = 0
    most_leased: int = 0
    news: anyio.Event = field(default_factory=anyio.Event)

    async def put(self, item: Item) -> bool:
        await anyio.lowlevel.checkpoint()
        if not self.accepts:
            return False
        self.accepted += 1
        self.waiting[self.accepted] = (0.0, MemoryLease(item, 1, self.accepted))
        self._tell()
        return True

    async def lease(self, *, in_order: bool = False) -> Lease:
        while True:
            await anyio.lowlevel.checkpoint()
            self._may_fail("lease")
            now = anyio.current_time()
            busy = {lease.item.source for lease in self.leased.values()} if in_order and self.keeps_order else set()
            due = [n for n, (at, lease) in self.waiting.items() if at <= now and lease.item.source not in busy]
            if due:
                number = min(due)
                _, lease = self.waiting.pop(number)
                self.leased[number] = lease
                self.most_leased = max(self.most_leased, len(self.leased))
                return lease
            first = min((at for at, _ in self.waiting.values() if at > now), default=float("inf"))
            with anyio.move_on_after(first - now):
                await self.news.wait()

    async def ack(self, lease: Lease) -> None:
        await anyio.lowlevel.checkpoint()
        self._may_fail("ack")
        self.delivered.append(self._returned(lease).item)

    async def nack(self, lease: Lease, *, delay: float, reason: str) -> None:
        await anyio.lowlevel.checkpoint()
        self._may_fail("nack")
        old = self._returned(lease)
        self.nacked.append((old.item, delay, reason))
        again = MemoryLease(old.item, old.attempt + 1, old.number)
        self.waiting[old.number] = (anyio.current_time() + delay, again)
        self._tell()

    async def bury(self, lease: Lease, *, reason: str) -> None:
        await anyio.lowlevel.checkpoint()
        self._may_fail("bury")
        self.dead.append((self._returned(lease).item, reason))

    async def status(self) -> Status:
        self._may_fail("status")
        now = anyio.current_time()
        delayed = sum(at > now for at, _ in self.waiting.values())
        return Status(
            len(self.waiting) - delayed, len(self.leased), delayed, len(self.dead), 0, None, self.accepted,
            len(self.delivered), {}, self.filled,
        )  # fmt: skip

    def _returned(self, lease: Lease) -> MemoryLease:
        assert isinstance(lease, MemoryLease)
        found = self.leased.pop(lease.number)  # a KeyError: it was settled twice
        self._tell()
        return found

    def _may_fail(self, method: str) -> None:
        if self.fail == method:
            raise OSError(f"{method} failed")

    def _tell(self) -> None:
        self.news.set()
        self.news = anyio.Event()


@dataclass
class MemorySpool:
    """Opens the same store again and again."""

    store: MemoryStore = field(default_factory=MemoryStore)
    opened: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MemoryStore]:
        self.opened += 1
        yield self.store
