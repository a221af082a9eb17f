"""What aiohooks logs, as lines for people."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_logs(write: Callable[[str], None]) -> Iterator[None]:
    """Write what aiohooks logs within the block, from INFO on, without tracebacks.

    Actions and triggers that fail are left out: the summary of their hook counts them and says why.
    """
    with handled_by(_Lines(write), "aiohooks", logging.INFO):
        yield


@contextmanager
def handled_by(handler: logging.Handler, name: str, level: int) -> Iterator[None]:
    """Send what a logger receives within the block to this handler alone, from this level on."""
    logger = logging.getLogger(name)
    before = logger.level, logger.propagate
    logger.setLevel(level)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[1]
        logger.setLevel(before[0])


class _Lines(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if record.module == "running_hook" and error is None:
            return
        kind = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        reason = f": {type(error).__name__}: {error}" if error else ""
        self._write(f"{kind}{record.getMessage()}{reason}")
