"""The latest warnings and errors of the library's log."""

import logging
from collections import deque
from datetime import UTC, datetime

import msgspec

MOST = 60

MOST_CHARACTERS = 400


class Trouble(msgspec.Struct, frozen=True):
    """A line of the log.

    Attributes:
        number: of the line, from 1.
        time: when it was written, in UTC.
        level: ``WARNING``, ``ERROR`` or ``CRITICAL``.
        source: name of the logger.
        message: what it says, without a traceback.
    """

    number: int
    time: datetime
    level: str
    source: str
    message: str


class Troubles(logging.Handler):
    """Keeps the last `MOST` warnings and errors.

    Attributes:
        count: how many there were.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0
        self._kept: deque[Trouble] = deque(maxlen=MOST)

    @property
    def latest(self) -> list[Trouble]:
        """What is kept, the newest first."""
        return list(self._kept)[::-1]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; called in any thread."""
        try:
            message = record.getMessage()
        except Exception:  # a line that cannot be formatted
            self.handleError(record)
            return
        self.count += 1
        time = datetime.fromtimestamp(record.created, UTC)
        self._kept.append(Trouble(self.count, time, record.levelname, record.name, message[:MOST_CHARACTERS]))
