"""What an event loop was doing when it was late."""

import asyncio
import functools
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

import heartbeat

import aiohooks

LATE_SECONDS = 0.003
"""Beats later than this are looked into."""

_PACKAGE = Path(aiohooks.__file__).parent


class Callback(NamedTuple):
    """One callback of the loop: its name, how long it took, and for how much of that its thread had a processor."""

    name: str
    seconds: float
    cpu_seconds: float


class Scheduled(NamedTuple):
    """What Linux tells of a thread: seconds on a processor, and ready to run but without one."""

    running: float
    queued: float


@dataclass(frozen=True)
class Lateness:
    """One late beat.

    Attributes:
        seconds: how late.
        running: seconds that the loop's thread ran since the beat before.
        queued: seconds that it waited for a processor. What is left was spent waiting for the interpreter's lock.
        in_callbacks: seconds in callbacks, running or waiting.
        longest: the longest callback.
        line: where the loop was seen by another thread: its innermost line in aiohooks, if there is one.
    """

    seconds: float
    running: float
    queued: float
    in_callbacks: float
    longest: Callback
    line: str

    def __str__(self) -> str:
        name, seconds, cpu_seconds = self.longest
        return (
            f"{self.seconds * 1e3:.1f} ms late, {self.in_callbacks * 1e3:.1f} in callbacks, the longest {name}:"
            f" {seconds * 1e3:.1f} (CPU {cpu_seconds * 1e3:.1f}), seen at {self.line}"
        )


class LoopWatch:
    """Times the callbacks of the running loop, and looks where it is when its heartbeat is overdue.

    Attributes:
        late: the beats that were late.
    """

    def __init__(self) -> None:
        self.late: list[Lateness] = []
        self._longest = Callback("", 0.0, 0.0)
        self._in_callbacks = 0.0
        self._line = ""
        self._due = time.monotonic() + heartbeat.PERIOD
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()
        self._schedule = _Schedule()
        self._scheduled = self._schedule.read()
        self._looking = threading.Thread(target=self._look)
        self._run_handle: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def __enter__(self) -> Self:
        watch, run_handle = self, self._run_handle

        def timed(handle: asyncio.Handle) -> None:
            start, cpu_start = time.perf_counter(), time.thread_time()
            run_handle(handle)
            watch._ran(handle, time.perf_counter() - start, time.thread_time() - cpu_start)

        asyncio.Handle._run = timed
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run_handle
        self._over.set()
        self._looking.join()
        self._schedule.close()

    def on_beat(self, seconds_late: float) -> None:
        """Take in a beat of the loop."""
        self._due = math.inf
        before, self._scheduled = self._scheduled, self._schedule.read()
        if seconds_late > LATE_SECONDS:
            running, queued = (now - then for now, then in zip(self._scheduled, before, strict=True))
            line = self._line or "no line: nothing else could run either"
            self.late.append(Lateness(seconds_late, running, queued, self._in_callbacks, self._longest, line))
        self._longest, self._in_callbacks, self._line = Callback("", 0.0, 0.0), 0.0, ""
        self._due = time.monotonic() + heartbeat.PERIOD

    def lines(self) -> Counter[str]:
        """Return how often a late loop was seen at which line."""
        return Counter(lateness.line for lateness in self.late)

    def _ran(self, handle: asyncio.Handle, seconds: float, cpu_seconds: float) -> None:
        self._in_callbacks += seconds
        if seconds > self._longest.seconds:
            self._longest = Callback(_name(handle._callback), seconds, cpu_seconds)

    def _look(self) -> None:
        seen = 0.0
        while True:
            due = self._due
            ahead = due + LATE_SECONDS - time.monotonic()
            if ahead <= 0 and due != seen:
                seen = due
                self._line = _line(sys._current_frames()[self._loop_thread])
            if self._over.wait(min(max(ahead, heartbeat.PERIOD), LATE_SECONDS)):
                return


class _Schedule:
    """What Linux knows of the thread that made this; zeros elsewhere."""

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)

    def read(self) -> Scheduled:
        if self._file is None:
            return Scheduled(0.0, 0.0)
        running, queued, _ = os.pread(self._file, 100, 0).split()
        return Scheduled(int(running) * 1e-9, int(queued) * 1e-9)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


def _name(callback: Any) -> str:
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return task.get_name()
    if isinstance(callback, functools.partial):
        callback = callback.func
    return str(getattr(callback, "__qualname__", callback))


def _line(innermost: FrameType) -> str:
    frame: FrameType | None = innermost
    while frame is not None and not frame.f_code.co_filename.startswith(f"{_PACKAGE}{os.sep}"):
        frame = frame.f_back
    seen = frame or innermost
    path = Path(seen.f_code.co_filename)
    shown = path.relative_to(_PACKAGE.parent).as_posix() if frame is not None else path.name
    return f"{shown}:{seen.f_lineno} {seen.f_code.co_name}"
