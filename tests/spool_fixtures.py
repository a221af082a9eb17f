"""Spools, and disks that fail."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiohooks.delivery import durable_file
from aiohooks.delivery.item import Item
from aiohooks.delivery.open_spool import OpenSpool


def item(number: int, nbytes: int = 20, source: str = "cam") -> Item:
    """An item that is known by its number."""
    return Item(f"{number:032x}", source, 1_000_000.0 + number, str(number).encode().ljust(nbytes, b"."))


def number(one: Item) -> int:
    return int(one.key, 16)


def files(folder: Path) -> list[str]:
    """What is in a spool's folder, beside the two files that are always there."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in found if name not in ("lock", "spool.json")]


async def drain(store: OpenSpool) -> list[int]:
    """Deliver all that is ready, and say what that was."""
    delivered = []
    while (await store.status()).ready:
        lease = await store.lease()
        delivered.append(number(lease.item))
        await store.ack(lease)
    return delivered


class Disk:
    """Calls of the system that fail when they are told to.

    Attributes:
        failing: called with the name of the call and its arguments; returns the error number, or 0.
        calls: what was called.
    """

    def __init__(self) -> None:
        self.failing: Callable[..., int] = lambda *_: 0
        self.calls: list[str] = []

    def refuse(self, call: str, number: int = errno.ENOSPC, path: str = "") -> None:
        """From now on, let a call fail whose first argument contains the path."""
        self.failing = lambda name, *args: number if name == call and path in str(args[0]) else 0

    def mend(self) -> None:
        """Let everything succeed."""
        self.failing = lambda *_: 0


@contextmanager
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk()

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            made.calls.append(name)
            if code := made.failing(name, *args):
                raise OSError(code, os.strerror(code))
            return call(*args, **options)

        return wrapper

    with monkeypatch.context() as patch:
        for name in ("open", "write", "fsync", "replace", "unlink", "close"):
            patch.setattr(durable_file.os, name, watched(name, getattr(os, name)))
        yield made
