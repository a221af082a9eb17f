"""Ctrl-C and SIGTERM: the first ends a run in order, the second at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

REASONS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""What a run was when one of these signals ended it."""


@contextmanager
def watched(on_signal: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call a function in the event loop when the first of the signals comes; entered in the loop of the main thread.

    From then on they kill, as they do by default. A signal that is ignored, as Ctrl-C is in programs that a shell
    starts in the background, stays ignored.
    """
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in REASONS}
    heeded = [number for number, handler in handlers.items() if handler is not signal.SIG_IGN]

    def handle(number: int, _frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_DFL)
        # Runs between two steps of the main thread, whose loop may be asleep; loop.add_signal_handler lacks Windows.
        loop.call_soon_threadsafe(on_signal, signal.Signals(number))

    for number in heeded:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, handlers[number])
