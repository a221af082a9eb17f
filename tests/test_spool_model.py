"""A spool does what a few lists do, over any course of calls, restarts and crashes."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from spool_fixtures import item, number

from aiohooks.delivery import recent, removal
from aiohooks.delivery.lease import SpoolLease
from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.record import record_bytes
from aiohooks.delivery.spool import Spool

MOST_ITEMS = 5
MOST_BYTES = 6 * record_bytes(item(0))
MAX_ATTEMPTS = 2


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(removal, "GATHER_SECONDS", 0.0)
        self.patch.setattr(recent, "MOST_BYTES", 3 * record_bytes(item(0)))  # some are in memory, some are read
        self.runner = asyncio.Runner()
        self.store: OpenSpool
        self.next = 0
        self.sizes: dict[int, int] = {}
        self.ready: list[int] = []
        self.delayed: list[int] = []
        self.leases: dict[int, SpoolLease] = {}
        self.dead: list[int] = []
        self.attempts: dict[int, int] = {}
        self.crashes: dict[int, int] = {}
        self.delivered = 0
        self.lost: dict[str, int] = {}
        self.open("drop_newest")

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def open(self, full: Any) -> None:
        self.full = full
        spool = Spool(
            str(self.folder),
            fsync="never",
            full=full,
            max_items=MOST_ITEMS,
            max_bytes=MOST_BYTES,
            max_attempts=MAX_ATTEMPTS,
        )
        self.store = spool.open()
        self.run(self.store.__aenter__())

    def held(self) -> list[int]:
        return [*self.ready, *self.delayed, *self.leases, *self.dead]

    def count(self, reason: str) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + 1

    @rule(extra=st.integers(0, 120))
    def put(self, extra: int) -> None:
        new = item(self.next, nbytes=20 + extra)
        nbytes = record_bytes(new)

        def fits() -> bool:
            return len(self.held()) < MOST_ITEMS and sum(self.sizes[i] for i in self.held()) + nbytes <= MOST_BYTES

        while self.full == "drop_oldest" and not fits() and (self.dead or self.ready or self.delayed):
            if self.dead:
                self.dead.remove(min(self.dead))
                self.count("dropped_dead")
            else:
                oldest = min([*self.ready, *self.delayed])
                (self.ready if oldest in self.ready else self.delayed).remove(oldest)
                self.count("dropped_oldest")
        accepted = fits()
        assert self.run(self.store.put(new)) is accepted
        if accepted:
            self.sizes[self.next] = nbytes
            self.ready.append(self.next)
        else:
            self.count("dropped_newest")
        self.next += 1

    @precondition(lambda self: self.ready)
    @rule()
    def lease(self) -> None:
        lease = self.run(self.store.lease())
        expected = min(self.ready)
        self.attempts[expected] = self.attempts.get(expected, 0) + 1
        assert number(lease.item) == expected
        assert lease.item == item(expected, nbytes=len(lease.item.payload))
        assert lease.attempt == self.attempts[expected]
        self.ready.remove(expected)
        self.leases[expected] = lease

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), end=st.sampled_from(["ack", "nack", "delay", "bury"]))
    def settle(self, data: st.DataObject, end: str) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.leases)))
        lease = self.leases.pop(chosen)
        if end == "ack":
            self.run(self.store.ack(lease))
            self.delivered += 1
        elif end == "nack":
            self.run(self.store.nack(lease, delay=0, reason="503"))
            self.ready.append(chosen)
        elif end == "delay":
            self.run(self.store.nack(lease, delay=1e6, reason="503"))
            self.delayed.append(chosen)
        else:
            self.run(self.store.bury(lease, reason=f"400 {chosen}"))
            self.dead.append(chosen)

    @precondition(lambda self: self.dead)
    @rule()
    def replay(self) -> None:
        assert self.run(self.store.replay()) == len(self.dead)
        for one in self.dead:
            self.attempts[one] = self.crashes[one] = 0
        self.ready += self.dead
        self.dead = []

    @rule(full=st.sampled_from(["drop_newest", "drop_oldest"]))
    def reopen(self, full: str) -> None:
        self.run(self.store.aclose())
        self.ready += [*self.leases, *self.delayed]
        self.leases, self.delayed = {}, []
        self.attempts = dict(self.crashes)
        self.open(full)

    @rule()
    def crash(self) -> None:
        """A process that died leaves the folder as it is at this moment; its counts may be old."""
        self.store._write_summary(self.store._summary.encode())
        copy = Path(tempfile.mkdtemp())
        shutil.copytree(self.folder, copy, dirs_exist_ok=True)
        self.run(self.store.aclose())
        shutil.rmtree(self.folder)
        self.folder = copy
        for one in self.leases:
            self.crashes[one] = self.crashes.get(one, 0) + 1
            (self.dead if self.crashes[one] >= MAX_ATTEMPTS else self.ready).append(one)
        self.ready += self.delayed
        self.leases, self.delayed = {}, []
        self.attempts = dict(self.crashes)
        self.open(self.full)

    @invariant()
    def is_what_the_lists_say(self) -> None:
        status = self.run(self.store.status())
        assert (status.ready, status.leased, status.delayed, status.dead) == (
            len(self.ready), len(self.leases), len(self.delayed), len(self.dead)
        )  # fmt: skip
        assert status.nbytes == sum(self.sizes[i] for i in self.held())
        assert (status.delivered, status.lost) == (self.delivered, self.lost)
        assert status.accepted == len(self.sizes)
        on_disk = list(self.folder.rglob("*.item"))
        assert sum(path.stat().st_size for path in on_disk) == status.nbytes

    def teardown(self) -> None:
        self.run(self.store.aclose())
        self.runner.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
